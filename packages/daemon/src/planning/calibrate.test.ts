import { asDeploymentId, asNodeId, type AdvertDeployment, type DeviceInfo, type StageView } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import type { DaemonState, HeadedDeployment } from "../state/daemon-state.ts";
import { calibratedDevice } from "./calibrate.ts";
import { plannerNodes } from "./cluster-machines.ts";

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

function stage(computeMs: number, steps = 100, node = SELF): Pick<StageView, "node" | "activeBytes" | "kvBytes" | "timing"> {
  const same = { p50: computeMs, p95: computeMs };
  return {
    node,
    activeBytes: 100e6,
    kvBytes: 0,
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
  const deployment = { id: "d", contentId: "c", view: { state, stages, context: 1024, slots: 1 } } as unknown as AdvertDeployment;
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
    ["it has not changed by much", device("decode", 10.2e9), [stage(11)]],
    ["steps have several tokens", device("probe"), [{ ...stage(11), timing: { ...stage(11).timing, tokensPerStep: 2 } }]],
    ["nothing was timed", device("probe"), [{ ...stage(11), timing: null }]],
  ])("but not where %s", (_, own, stages) => {
    expect(calibratedDevice(stateWith(own, stages), 1)).toBeNull();
  });

  test("of each kind of model by itself, the latest first; a plan takes the kind's own", () => {
    const models = [{ contentId: "c", architecture: "qwen3moe", quantisation: "Q8_0" }];
    const own = { ...device("decode", 10e9), decoded: [{ kind: "llama Q8_0", bytesPerSecond: 10e9 }] };
    const state = stateWith(own, [stage(21)]);
    const found = calibratedDevice({ ...state, own: { ...state.own, models } } as unknown as DaemonState, 1);
    expect(found?.decoded).toEqual([
      { kind: "qwen3moe Q8_0", bytesPerSecond: 5e9 },
      { kind: "llama Q8_0", bytesPerSecond: 10e9 },
    ]);
    const bandwidthOf = (kind?: string): number | undefined => {
      const machine = { id: SELF, device: found ?? own, links: [], canHead: true };
      return plannerNodes([machine], new Map([[SELF, "self"]]), new Map(), kind)[0]?.bandwidthBytesPerSecond;
    };
    expect([bandwidthOf("qwen3moe Q8_0"), bandwidthOf("llama Q8_0"), bandwidthOf("gemma3 F16")]).toEqual([5e9, 10e9, 5e9]);
    const settled = { ...state.own, device: found ?? own, models };
    expect(calibratedDevice({ ...state, own: settled } as unknown as DaemonState, 1)).toBeNull();
  });

  test("with the part of the cache that a step reads", () => {
    const read = { ...stage(11), kvBytes: 100e6, timing: { ...stage(11).timing, cacheTokens: 256 } };
    // A quarter of a cache of 1,024 tokens.
    expect(calibratedDevice(stateWith(device("probe"), [read]), 1)?.bandwidthBytesPerSecond).toBe(12.5e9);
    const full = { ...read, timing: { ...read.timing, cacheTokens: 1e9 } };
    expect(calibratedDevice(stateWith(device("probe"), [full]), 1)?.bandwidthBytesPerSecond).toBe(20e9);
  });

  describe("by a model that runs on this node alone", () => {
    const headed = (stepsPerSecond: number | null, change: object = {}): DaemonState => {
      const placement = {
        stages: [{ node: SELF, kvBytes: 10e6 }],
        speculation: { type: "off" },
        slots: 1,
        context: 512,
        model: { layers: [{ activeBytes: 190e6 }, { activeBytes: 195e6 }], layerCount: 2, outputBytes: 10e6 },
        predicted: { tokensPerSecond: 1 },
        ...change,
      };
      const rest = { failure: null, progress: [1], timings: [], asked: { replan: "ask" }, proposal: null };
      const measured = { stepsPerSecond, promptTokensPerSecond: null };
      const own = { id: asDeploymentId("own"), phase: "ready", placement, measured, ...rest } as unknown as HeadedDeployment;
      return { ...stateWith(device("probe", 10e9), []), deployments: new Map([[own.id, own]]) };
    };
    test.each([
      ["output and half the cache counted", headed(1000 / 41), 10e9],
      [
        "at least, where several slots may have shared the steps",
        headed(1000 / 21, { slots: 2, stages: [{ node: SELF, kvBytes: 20e6 }] }),
        20e9,
      ],
    ])("%s", (_, state, bandwidth) => {
      expect(calibratedDevice(state, 1)?.bandwidthBytesPerSecond).toBe(bandwidth);
    });

    test.each([
      ["it has not been timed", headed(null)],
      ["steps are guessed ahead", headed(1000 / 41, { speculation: { type: "mtp" } })],
      ["its cache may be much of what is read", headed(1000 / 41, { stages: [{ node: SELF, kvBytes: 30e6 }] })],
      [
        "it has other stages",
        headed(1000 / 41, {
          stages: [
            { node: SELF, kvBytes: 0 },
            { node: "other", kvBytes: 0 },
          ],
        }),
      ],
      ["several slots may be why it is slow", headed(1000 / 81, { slots: 2 })],
    ])("but not where %s", (_, state) => {
      expect(calibratedDevice(state, 1)).toBeNull();
    });
  });

  test("nor by a pipeline that is not up", () => {
    expect(calibratedDevice(stateWith(device("probe"), [stage(11)], "failed"), 1)).toBeNull();
  });
});
