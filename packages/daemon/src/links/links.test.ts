import { asNodeId, type AdvertDeployment, type LinkView } from "@clusterd/wire";
import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import type { DaemonState } from "../state/daemon-state.ts";
import { combineLinks, ENGINE_HOP_MS } from "./combine-links.ts";
import { createQuietWatch } from "./link-quiet.ts";
import { createLinkSchedule } from "./link-schedule.ts";

const [A, B] = [asNodeId("a"), asNodeId("b")];
const MINUTE = 60_000;

describe("when a link is measured", () => {
  test("seconds after a member is seen, then every ten minutes or so", () => {
    const schedule = createLinkSchedule(() => 0.5);
    expect(schedule.due([A], 0)).toBeNull();
    expect(schedule.due([A], 2_999)).toBeNull();
    expect(schedule.due([A], 3_000)).toBe(A);
    schedule.measured(A, 3_000);
    expect(schedule.due([A], 3_000 + 10 * MINUTE - 1)).toBeNull();
    expect(schedule.due([A], 3_000 + 10 * MINUTE)).toBe(A);
  });

  test("members do not fall into step", () => {
    const at = (random: number): number => {
      const schedule = createLinkSchedule(() => random);
      schedule.due([A], 0);
      schedule.measured(A, 0);
      let minute = 0;
      while (schedule.due([A], minute * MINUTE) === null) minute++;
      return minute;
    };
    expect([at(0), at(1)]).toEqual([8, 12]);
  });

  test("the one that waits longest first; who is busy or failed waits its turn", () => {
    const schedule = createLinkSchedule(() => 0);
    schedule.due([A], 0);
    schedule.due([A, B], 100);
    expect(schedule.due([A, B], 5_000)).toBe(A);
    schedule.busy(A, 5_000);
    expect(schedule.due([A, B], 5_000)).toBe(B);
    schedule.failed(B, 5_000);
    expect(schedule.due([A, B], 5_999)).toBeNull();
    expect(schedule.due([A, B], 6_000)).toBe(A);
    schedule.measured(A, 6_000);
    expect(schedule.due([A, B], 65_000)).toBe(B);
  });

  test("who went and came back is measured anew", () => {
    const schedule = createLinkSchedule(() => 0);
    schedule.due([A], 0);
    schedule.measured(A, 3_000);
    expect(schedule.due([], 4_000)).toBeNull();
    expect(schedule.due([A], 5_000)).toBeNull();
    expect(schedule.due([A], 7_000)).toBe(A);
  });

  test("anew where heartbeats show another link, but not at every change", () => {
    const schedule = createLinkSchedule(() => 0.5);
    schedule.due([A], 0);
    schedule.heartbeat(A, 1, 100);
    schedule.measured(A, 3_000);
    schedule.heartbeat(A, 1, 4_000);
    schedule.heartbeat(A, 1.9, 5_000);
    expect(schedule.due([A], MINUTE)).toBeNull();
    schedule.heartbeat(A, 40, 6_000);
    expect(schedule.due([A], 32_999)).toBeNull();
    expect(schedule.due([A], 33_000)).toBe(A);
  });
});

describe("a node is left alone", () => {
  const stateWith = (state: string, steps: number, nodes: readonly string[] = ["a#1"]): DaemonState => {
    const stages = nodes.map((node) => ({ node, timing: { steps } }));
    const deployment = { id: "d", view: { state, epoch: 1, head: "head", stages } } as unknown as AdvertDeployment;
    const other = { advert: { node: "head", name: "head", deployments: [deployment] }, state: "alive" };
    return {
      self: asNodeId("self"),
      own: { name: "self" },
      others: new Map([[asNodeId("head"), other]]),
      deployments: new Map(),
    } as unknown as DaemonState;
  };

  test("while it loads, and while it makes tokens", () => {
    const quiet = createQuietWatch();
    quiet.look(stateWith("loading", 0), 0);
    expect(quiet.isQuiet(stateWith("loading", 0), A, 60_000)).toBe(false);
    quiet.look(stateWith("ready", 0), 60_000);
    expect(quiet.isQuiet(stateWith("ready", 0), A, 64_000)).toBe(false);
    expect(quiet.isQuiet(stateWith("ready", 0), A, 66_000)).toBe(true);
    quiet.look(stateWith("ready", 7), 67_000);
    expect(quiet.isQuiet(stateWith("ready", 7), A, 68_000)).toBe(false);
    expect(quiet.isQuiet(stateWith("ready", 7), asNodeId("head"), 68_000)).toBe(false);
    expect(quiet.isQuiet(stateWith("ready", 7), A, 73_000)).toBe(true);
  });

  test("but not for what others do, nor for what has failed", () => {
    const quiet = createQuietWatch();
    quiet.look(stateWith("loading", 0), 0);
    expect(quiet.isQuiet(stateWith("loading", 0), B, 1)).toBe(true);
    expect(quiet.isQuiet(stateWith("failed", 0), A, 1)).toBe(true);
  });
});

describe("one figure for a link of two ends", () => {
  const link = (rttMs: number, bytesPerSecond: number): LinkView => ({ to: A, rttMs, bytesPerSecond });

  test.prop({ there: fc.double({ min: 1e3, max: 1e11, noNaN: true }), back: fc.double({ min: 1e3, max: 1e11, noNaN: true }) })(
    "a hidden state each way takes as long as over the two rates",
    ({ there, back }) => {
      const { bytesPerSecond } = combineLinks([link(1, there), link(1, back)], 1);
      const hidden = 28_672;
      expect((2 * hidden) / bytesPerSecond / (hidden / there + hidden / back)).toBeCloseTo(1, 9);
    },
  );

  test("the shorter trip of those measured over tunnels; heartbeats only where there is none", () => {
    expect(combineLinks([link(0.3, 1e6), link(0.2, 1e6)], 5).rttMs).toBe(0.2 + ENGINE_HOP_MS);
    expect(combineLinks([link(0.3, 1e6), link(0.1, 0)], 5)).toEqual({ rttMs: 0.3 + ENGINE_HOP_MS, bytesPerSecond: 1e6 });
    expect(combineLinks([link(0.7, 0), link(0.9, 0)], 5)).toEqual({ rttMs: 0.7, bytesPerSecond: 5 });
  });
});
