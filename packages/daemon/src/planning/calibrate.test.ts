import { asNodeId, type AdvertDeployment, type DeviceInfo, type StageView } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import type { DaemonState } from "../state/daemon-state.ts";
import { calibratedDevice } from "./calibrate.ts";

const SELF = asNodeId("self");
const device = (bandwidthSource: DeviceInfo["bandwidthSource"], bandwidthBytesPerSecond = 10e9): DeviceInfo => ({
  platform: "linux-x64",
  chip: "chip",
  memoryBytesTotal: 8e9,
  memoryBytesFree: 8e9,
  memoryBytesBudget: 8e9,
  bandwidthBytesPerSecond,
  bandwidthSource,
  accelerators: [],
});

function stage(computeMs: number, steps = 100, node = SELF): Pick<StageView, "node" | "activeBytes" | "timing"> {
  const same = { p50: computeMs, p95: computeMs };
  return {
    node,
    activeBytes: 100e6,
    timing: {
      steps,
      tokensPerStep: 1,
      computeMs: same,
      wireMs: same,
      idleMs: same,
      bytesUp: 1,
      bytesDown: 1,
      tokensPerSecond: 1,
      encrypted: true,
    },
  };
}

/** What calibration looks at of a state: this node's device, and deployments that another node heads. */
function stateWith(own: DeviceInfo, stages: readonly object[], state = "ready"): DaemonState {
  const deployment = { id: "d", contentId: "c", view: { state, stages } } as unknown as AdvertDeployment;
  const other = { advert: { node: asNodeId("head"), name: "head", deployments: [deployment] }, state: "alive" };
  return {
    self: SELF,
    own: { name: "self", device: own },
    others: new Map([[asNodeId("head"), other]]),
    deployments: new Map(),
  } as unknown as DaemonState;
}

describe("decoding shows the bandwidth", () => {
  test("as the weights read in the time at work", () => {
    const found = calibratedDevice(stateWith(device("probe"), [stage(11)]), 1);
    expect(found).toEqual({ ...device("decode", 10e9) });
  });

  test("by the stage whose steps are longest", () => {
    expect(calibratedDevice(stateWith(device("table"), [stage(6), stage(21)]), 1)?.bandwidthBytesPerSecond).toBe(5e9);
  });

  test.each([
    ["a person has set it", device("flag"), [stage(11)]],
    ["the steps are too short", device("probe"), [stage(4.9)]],
    ["there were too few", device("probe"), [stage(11, 63)]],
    ["the stage is another node's", device("probe"), [stage(11, 100, asNodeId("other"))]],
    ["it has not changed by much", device("decode", 10.4e9), [stage(11)]],
    ["steps have several tokens", device("probe"), [{ ...stage(11), timing: { ...stage(11).timing, tokensPerStep: 2 } }]],
    ["nothing was timed", device("probe"), [{ ...stage(11), timing: null }]],
  ])("but not where %s", (_, own, stages) => {
    expect(calibratedDevice(stateWith(own, stages), 1)).toBeNull();
  });

  test("nor by a pipeline that is not up", () => {
    expect(calibratedDevice(stateWith(device("probe"), [stage(11)], "failed"), 1)).toBeNull();
  });
});
