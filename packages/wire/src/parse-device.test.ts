import { describe, expect, test } from "vitest";
import {
  BANDWIDTH_PLAUSIBLE,
  FLOPS_PLAUSIBLE,
  LINK_RATE_PLAUSIBLE,
  MEMORY_BYTES_PLAUSIBLE,
  parseAdvert,
} from "./parse-advert.ts";

const device = {
  platform: "darwin-arm64",
  chip: "Apple M4 Pro",
  memoryBytesTotal: 64e9,
  memoryBytesFree: 50e9,
  memoryBytesBudget: 48e9,
  raisable: { memoryBytes: 58e9, wiredLimitMb: 55_000 },
  bandwidthBytesPerSecond: 190e9,
  bandwidthSource: "probe",
  flopsPerSecond: 8e12,
  accelerators: [{ name: "Apple M4 Pro", memoryBytes: 48e9, bandwidthBytesPerSecond: 190e9 }],
};
const link = { to: "b", rttMs: 0.3, rttMsMin: 0.2, bytesPerSecond: 118e6, measuredAt: 1.7e12 };
const advert = (own: object = {}, way: object = {}): unknown => ({
  node: "a",
  name: "a",
  version: "1",
  incarnation: 1,
  sequence: 1,
  draining: false,
  device: { ...device, ...own },
  links: [{ ...link, ...way }],
  engine: { fingerprint: "f", rpcProtocol: "7.0.0", llamaCpp: "v" },
  models: [],
  deployments: [],
  pending: [],
  addresses: [],
  dataPlane: { port: 1, fingerprint: "f" },
});

describe("what a member says of its machine", () => {
  test("comes through as it was said", () => {
    expect(parseAdvert(advert())).toMatchObject({ device, links: [link] });
  });

  test("without what an older one does not say", () => {
    const { raisable, flopsPerSecond, ...older } = device;
    const { rttMsMin, measuredAt, ...way } = link;
    const said = advert() as Record<string, unknown>;
    const accelerators = [{ name: "x", memoryBytes: 1 }];
    const parsed = parseAdvert({ ...said, device: { ...older, accelerators }, links: [way] });
    expect([raisable, flopsPerSecond, rttMsMin, measuredAt]).not.toContain(undefined);
    expect(parsed.device).toMatchObject({ raisable: null, flopsPerSecond: null });
    expect(parsed.device.accelerators).toEqual([{ name: "x", memoryBytes: 1, bandwidthBytesPerSecond: null }]);
    expect(parsed.links).toEqual([{ ...way, rttMsMin: null, measuredAt: null }]);
  });

  test("is cut down to what a machine can be", () => {
    const lies = { bandwidthBytesPerSecond: 1e30, flopsPerSecond: 1e30, raisable: { memoryBytes: 1e30, wiredLimitMb: 1 } };
    const parsed = parseAdvert(advert(lies, { bytesPerSecond: 1e30, rttMs: 1e30 }));
    expect(parsed.device).toMatchObject({
      bandwidthBytesPerSecond: BANDWIDTH_PLAUSIBLE,
      flopsPerSecond: FLOPS_PLAUSIBLE,
      raisable: { memoryBytes: MEMORY_BYTES_PLAUSIBLE },
    });
    expect(parsed.links[0]).toMatchObject({ bytesPerSecond: LINK_RATE_PLAUSIBLE, rttMs: 60_000 });
  });

  test.each<readonly [string, object, object]>([
    ["a bandwidth that is no number", { bandwidthBytesPerSecond: "fast" }, {}],
    ["arithmetic below nothing", { flopsPerSecond: -1 }, {}],
    ["a setting that is a command", { raisable: { memoryBytes: 1, wiredLimitMb: "1; reboot" } }, {}],
    ["a rate that is no number", {}, { bytesPerSecond: Number.NaN }],
  ])("is refused with %s", (_, own, way) => {
    expect(() => parseAdvert(advert(own, way))).toThrow(/must be/);
  });
});
