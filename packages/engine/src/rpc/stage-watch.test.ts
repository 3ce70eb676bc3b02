import { fc, test as property } from "@fast-check/vitest";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ProcessActivity } from "../process/process-activity.ts";
import { createStageWatch, stallLimitMs, type StageWatch, type StageWatchOptions } from "./stage-watch.ts";

const TICK = 200;
let nowMs = 0;
let open: { sinceMs: number; tokens: number } | null = null;
let stepMs: number | null = null;
let waits = false;
let takesConnections = true;
let pings = 0;
let pongs = true;
let lost: string[] = [];
let stalled: string[] = [];
let watch: StageWatch;

beforeEach(() => {
  vi.useFakeTimers();
  [nowMs, open, stepMs, takesConnections, pings, pongs] = [1000, null, null, true, 0, true];
  [lost, stalled, waits] = [[], [], false];
  watch = begin({});
});

function begin(more: Partial<StageWatchOptions>): StageWatch {
  const made = createStageWatch({
    meter: {
      get open() {
        return open;
      },
      get stepMs() {
        return stepMs;
      },
    },
    ping() {
      pings += 1;
      if (pongs) watch.heard(false);
    },
    probe: () => Promise.resolve(takesConnections),
    waiting: () => waits || open !== null,
    onLost: (reason) => void lost.push(reason),
    onStalled: (reason) => void stalled.push(reason),
    now: () => nowMs,
    ...more,
  });
  made.active = true;
  return made;
}
afterEach(() => {
  watch[Symbol.dispose]();
  vi.useRealTimers();
});

/** Time goes by, tick after tick, as on a machine that is not held up. */
async function pass(ms: number): Promise<void> {
  for (let done = 0; done < ms; done += TICK) {
    nowMs += TICK;
    await vi.advanceTimersByTimeAsync(TICK);
  }
}

describe("a peer", () => {
  test("that answers is left in peace, however long nobody asks it anything", async () => {
    await pass(3_600_000);
    expect(pings).toBeGreaterThan(5000);
    expect([lost, stalled]).toEqual([[], []]);
  });

  test("that is asked something after an idle hour has its time from then on, and no more", async () => {
    await pass(3_600_000);
    waits = true;
    await pass(100_000);
    expect(stalled).toEqual([]);
    await pass(30_000);
    expect(stalled).toEqual([expect.stringMatching(/^it works on an answer for 120/)]);
  });

  test("whose machine is gone is known within two seconds", async () => {
    [pongs, takesConnections] = [false, false];
    await pass(1_200);
    expect(lost).toHaveLength(1);
    expect(lost[0]).toContain("its machine takes no connection");
  });

  test("whose machine is there may be slow, but not for ever", async () => {
    pongs = false;
    await pass(14_000);
    expect(lost).toEqual([]);
    await pass(2_000);
    expect(lost[0]).toContain("though its machine is there");
  });

  test("is not blamed for our own delay", async () => {
    [pongs, takesConnections] = [false, false];
    nowMs += 60_000;
    await vi.advanceTimersByTimeAsync(TICK);
    expect(lost).toEqual([]);
    pongs = true;
    watch.heard(false);
    await pass(10_000);
    expect(lost).toEqual([]);
  });

  test("is not watched while there is no connection", async () => {
    [pongs, takesConnections] = [false, false];
    watch.active = false;
    await pass(60_000);
    expect([lost, stalled]).toEqual([[], []]);
  });
});

describe("a stage", () => {
  test("that has decoded in 10 ms a step is stuck after five seconds, and said so once", async () => {
    stepMs = 10;
    open = { sinceMs: nowMs, tokens: 1 };
    await pass(4_800);
    expect(stalled).toEqual([]);
    await pass(60_000);
    expect(stalled).toHaveLength(1);
    expect(stalled[0]).toMatch(/works on a token for 5\.\d s without a sign of progress; a step takes it 10 ms/);
  });

  test("may take minutes for a prompt", async () => {
    stepMs = 1_000;
    open = { sinceMs: nowMs, tokens: 512 };
    await pass(600_000);
    expect(stalled).toEqual([]);
    await pass(600_000);
    expect(stalled[0]).toContain("a batch of 512 tokens");
  });

  test("is not stuck while its frames move", async () => {
    stepMs = 10;
    open = { sinceMs: nowMs, tokens: 1 };
    for (let second = 0; second < 60; second++) {
      await pass(1_000);
      watch.heard(true);
    }
    expect(stalled).toEqual([]);
  });

  property.prop([fc.double({ min: 0.01, max: 100_000, noNaN: true }), fc.nat({ max: 4096 })])(
    "has 5 to 30 s for a token whatever its history, and more for more",
    (step, tokens) => {
      expect(stallLimitMs(step, 1)).toBeGreaterThanOrEqual(5_000);
      expect(stallLimitMs(step, 1)).toBeLessThanOrEqual(30_000);
      expect(stallLimitMs(step, tokens + 1)).toBeGreaterThanOrEqual(stallLimitMs(step, tokens));
    },
  );
});

describe("an engine whose node tells what it is doing", () => {
  let asked = 0;
  /** From now on, with a token in work. */
  function tells(activity: (look: number) => ProcessActivity | null | Promise<ProcessActivity | null>): void {
    watch[Symbol.dispose]();
    asked = 0;
    watch = begin({ activity: async () => activity((asked += 1)) });
    stepMs = 10;
    open = { sinceMs: nowMs, tokens: 1 };
  }
  const asleep = (cpuMs: number): ProcessActivity => ({ stopped: false, runnable: false, cpuMs });

  test("has its own limit where it is stopped or does nothing", async () => {
    tells(() => ({ stopped: true, runnable: false, cpuMs: 50 }));
    await pass(4_800);
    expect(stalled).toEqual([]);
    await pass(1_400);
    expect(stalled).toEqual([expect.stringMatching(/^it works on a token for [56]\.\d s .*; its process was stopped$/)]);
    stalled = [];
    tells(() => asleep(50));
    await pass(4_800);
    expect(stalled).toEqual([]);
    await pass(1_400);
    expect(stalled).toEqual([expect.stringMatching(/; it does nothing$/)]);
  });

  test("has thirty seconds where it wants to compute, or does, and no more", async () => {
    for (const lives of [
      (): ProcessActivity => ({ stopped: false, runnable: true, cpuMs: 50 }),
      (look: number): ProcessActivity => asleep(25 * look),
    ]) {
      stalled = [];
      tells(lives);
      await pass(29_800);
      expect(stalled).toEqual([]);
      await pass(2_000);
      expect(stalled).toEqual([expect.stringMatching(/^it works on a token for 30\.\d s/)]);
    }
  });

  test("that was starved and got through is let be", async () => {
    tells(() => ({ stopped: false, runnable: true, cpuMs: 50 }));
    for (let token = 0; token < 5; token += 1) {
      await pass(20_000);
      watch.heard(true);
    }
    expect(stalled).toEqual([]);
  });

  test("that is stopped after it was starved is stuck at once", async () => {
    let stopped = false;
    tells(() => ({ stopped, runnable: !stopped, cpuMs: 50 }));
    await pass(12_000);
    expect(stalled).toEqual([]);
    stopped = true;
    await pass(2_000);
    expect(stalled).toHaveLength(1);
  });

  test("is asked after once a second at most, and not while it keeps within its usual time", async () => {
    tells(() => ({ stopped: false, runnable: true, cpuMs: 50 }));
    await pass(2_400);
    expect(asked).toBe(0);
    await pass(20_000);
    expect(asked).toBeGreaterThan(10);
    expect(asked).toBeLessThan(22);
  });

  test("whose node cannot tell, or is an older one, has its own limit", async () => {
    for (const tell of [(): null => null, (): Promise<null> => Promise.reject(new Error("no such request"))]) {
      stalled = [];
      tells(tell);
      await pass(4_800);
      expect(stalled).toEqual([]);
      await pass(1_400);
      expect(stalled).toEqual([expect.stringMatching(/a step takes it 10 ms$/)]);
    }
  });

  test("whose node takes its time to say nothing is stuck as soon as that is known", async () => {
    tells(() => new Promise((done) => setTimeout(() => done(null), 5_000)));
    await pass(7_000);
    expect(stalled).toEqual([]);
    await pass(1_000);
    expect(stalled).toEqual([expect.stringMatching(/^it works on a token for 7\.\d s/)]);
  });

  test("whose node does not answer at all is stuck after thirty seconds", async () => {
    tells(() => new Promise(() => undefined));
    await pass(29_800);
    expect(stalled).toEqual([]);
    await pass(400);
    expect(stalled).toHaveLength(1);
  });
});
