import { fc } from "@fast-check/vitest";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ClusterdError } from "@clusterd/wire";
import { COMMAND } from "./protocol.ts";
import { getTensor, recompute, request, setTensor } from "./testing/frames.ts";
import {
  askResult, compute, computeAll, headProgram, resultName, ROW_BYTES, runBatches, setInput, stageRow, takeAnswer, type HeadMove, type RowStage,
} from "./testing/stage-row.ts"; // prettier-ignore

const row = (fill: number): Buffer => Buffer.alloc(ROW_BYTES, fill);
const commandsOf = (stage: RowStage): readonly number[] => stage.inbox.map((frame) => frame.readUInt8(0));

/** Two stages or more whose ways are known. */
function taught(
  count = 2,
  options = {},
): { readonly stages: readonly RowStage[]; readonly first: RowStage; readonly second: RowStage } {
  const { board, stages } = stageRow(count, options);
  runBatches(stages, 4);
  expect(board?.promised).toBe(count - 1);
  return { stages, first: stages[0] as RowStage, second: stages[1] as RowStage };
}

/** The first stage's next result, asked for and given as a placeholder. */
function placeholder({ relay, ...stage }: RowStage): Buffer {
  void relay.fromLocal(Buffer.concat([setInput(0, row(7)), recompute(), askResult(0)]));
  const given = takeAnswer({ relay, ...stage });
  if (given === null) throw new Error("no placeholder came");
  expect(given).not.toEqual(compute(0, row(7)));
  return given;
}

describe("what is only passed on", () => {
  test("goes by way of the engine until it was seen three times, then by itself", () => {
    const { board, stages } = stageRow(3);
    expect(runBatches(stages, 3)).toEqual([1, 2, 3].map((fill) => computeAll(3, row(fill))));
    expect(board?.promised).toBe(0);
    expect(runBatches(stages, 5)).toEqual([1, 2, 3, 4, 5].map((fill) => computeAll(3, row(fill))));
    expect(board?.promised).toBe(10);
  });

  test("holds the next stage, and nothing else, until it is there", () => {
    const { first, second } = taught();
    const given = placeholder(first);
    void second.relay.fromLocal(
      Buffer.concat([setTensor({ name: "pos", buffer: 1 }, row(9)), setInput(1, given), recompute(), askResult(1)]),
    );
    expect(commandsOf(second)).toEqual([COMMAND.setTensor]);
    expect(second.meter.open).toBeNull();
    expect(second.relay.waiting).toBe(false);
    second.relay.ping();
    expect(second.out.remote()).toEqual(request(COMMAND.ping));
    while (first.work());
    expect(commandsOf(second)).toEqual([COMMAND.setTensor, COMMAND.setTensor, COMMAND.graphRecompute, COMMAND.getTensor]);
    expect(second.meter.open).not.toBeNull();
    while (second.work());
    expect(takeAnswer(second)).toEqual(computeAll(2, row(7)));
  });

  test("is given ahead only so far", () => {
    const { first, second } = taught();
    const ahead: Buffer[] = [];
    for (let batch = 0; batch < 10; batch += 1) {
      void first.relay.fromLocal(Buffer.concat([setInput(0, row(batch)), recompute(), askResult(0)]));
      const given = takeAnswer(first);
      if (given === null) break;
      ahead.push(given);
      void second.relay.fromLocal(Buffer.concat([setInput(1, given), recompute()]));
    }
    expect(ahead).toHaveLength(3);
    for (let frame = 0; frame < 3; frame += 1) first.work();
    // One has gone on, so the next placeholder comes.
    expect(takeAnswer(first)).not.toBeNull();
  });

  test("comes out right whatever the order of work and the cuts of the streams", async () => {
    const batch = fc.record({
      data: fc.uint8Array({ minLength: 40, maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
      asked: fc.boolean(),
    });
    const property = fc.asyncProperty(
      fc.integer({ min: 2, max: 4 }),
      fc.array(batch, { minLength: 1, maxLength: 8 }),
      fc.infiniteStream(fc.nat(1000)),
      async (count, given, choices) => {
        const { board, stages } = stageRow(count);
        runBatches(stages, 3);
        const batches = [...given, { data: row(1), asked: true }];
        const results: Buffer[] = [];
        const program = headProgram(stages, batches, results);
        const pick = (limit: number): number => (choices.next().value ?? 0) % limit;
        /** Sent by the engine, not yet come to the relay. */
        const wire: Buffer[] = stages.map(() => Buffer.alloc(0));
        let awaited: Extract<HeadMove, { awaits: number }> | null = null;
        let over = false;
        for (let turn = 0; turn < 20_000 && !over; turn += 1) {
          const index = pick(count);
          const { relay, work } = stages[index] as RowStage;
          const kind = pick(3);
          if (kind === 0) work();
          if (kind === 1) {
            const bytes = wire[index] as Buffer;
            const cut = Math.min(bytes.length, pick(700));
            wire[index] = bytes.subarray(cut);
            await relay.fromLocal(Buffer.from(bytes.subarray(0, cut)));
          }
          if (kind < 2) continue;
          const got = awaited === null ? undefined : takeAnswer(stages[awaited.from] as RowStage, awaited.awaits);
          if (got === null) continue;
          const { value, done } = program.next(got);
          over = done === true;
          awaited = value !== undefined && "awaits" in value ? value : null;
          if (value !== undefined && "send" in value) wire[value.to] = Buffer.concat([wire[value.to] as Buffer, value.send]);
        }
        expect(over).toBe(true);
        expect(results).toEqual(batches.filter(({ asked }) => asked).map(({ data }) => computeAll(count, data)));
        expect(board?.promised).toBe(batches.length * (count - 1));
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });
});

describe("what the head wants itself", () => {
  test("is never promised: the last stage's result, and what it does not pass on as it is", () => {
    const { board, stages } = stageRow(2);
    const [first, second] = stages as [RowStage, RowStage];
    for (let batch = 0; batch < 12; batch += 1) {
      void first.relay.fromLocal(Buffer.concat([setInput(0, row(batch)), recompute(), askResult(0)]));
      while (first.work());
      const hidden = takeAnswer(first) as Buffer;
      expect(hidden).toEqual(compute(0, row(batch)));
      // Once of so many times it differs.
      void second.relay.fromLocal(setInput(1, batch === 2 ? row(1) : hidden));
    }
    expect(board?.promised).toBe(0);
  });

  test.each<[string, Buffer]>([
    ["a part of it", getTensor({ name: resultName(0), dimensions: [ROW_BYTES / 4, 1, 1, 1] }, 48, 16)],
    ["another tensor", getTensor({ name: "cache_k_l0", dimensions: [ROW_BYTES / 4, 1, 1, 1] }, 48)],
  ])("%s comes from the worker", (_, question) => {
    const { first } = taught();
    void first.relay.fromLocal(Buffer.concat([recompute(), question]));
    expect(takeAnswer(first, 48)).toBeNull();
    while (first.work());
    expect(takeAnswer(first, 48)).not.toBeNull();
  });

  test("is the same tensor asked for again", () => {
    const { first, second } = taught();
    void second.relay.fromLocal(setInput(1, placeholder(first)));
    void first.relay.fromLocal(askResult(0));
    expect(takeAnswer(first)).toBeNull();
    while (first.work());
    expect(takeAnswer(first)).toEqual(compute(0, row(7)));
  });

  test("is not known of a head that asks without waiting: it gets no placeholders at all", () => {
    const { board, stages } = stageRow(3);
    const last = stages[2] as RowStage;
    void last.relay.fromLocal(Buffer.concat([recompute(), getTensor({ name: "embd" }, 16)]));
    void (stages[1] as RowStage).relay.fromLocal(getTensor({ name: "x" }, 16));
    while (last.work() || (stages[1] as RowStage).work());
    for (const stage of stages) stage.out.local();
    runBatches(stages, 8);
    expect(board?.promised).toBe(0);
  });
});

describe("a placeholder that is not used as one", () => {
  afterEach(() => void vi.useRealTimers());

  /** It ends every connection of the head, says so, and none is given any more. */
  function expectBroken(act: (first: RowStage, second: RowStage, given: Buffer) => void, what: string): void {
    const onBroken = vi.fn<() => void>();
    const { stages, first, second } = taught(3, { onBroken });
    const given = placeholder(first);
    expect(() => act(first, second, given)).toThrow(what);
    expect(onBroken).toHaveBeenCalledOnce();
    for (const { out } of stages) expect(out.failures).toEqual([expect.any(ClusterdError)]);
    expect(() => stages[2]?.relay.fromLocal(Buffer.concat([recompute(), askResult(2)]))).toThrow(ClusterdError);
  }

  test.each<[string, string, (first: RowStage, second: RowStage, given: Buffer) => unknown]>([
    ["on its own stage", "out of its turn", (first, _, given) => first.relay.fromLocal(setInput(0, given))],
    ["under another name", "where RPC1", (_, second, given) => second.relay.fromLocal(setTensor({ name: "x" }, given))],
    ["shortened", "where RPC1", (_, second, given) => second.relay.fromLocal(setInput(1, given.subarray(0, 48)))],
    [
      "changed",
      "changed what",
      (_, second, given) => second.relay.fromLocal(setInput(1, Buffer.concat([given.subarray(0, 63), Buffer.of(1)]))),
    ],
    [
      "forged",
      "out of its turn",
      (_, second, given) => second.relay.fromLocal(setInput(1, Buffer.concat([given.subarray(0, 31), Buffer.alloc(33, 9)]))),
    ],
    [
      "never, before the next question there",
      "did not pass on",
      (_, second) => second.relay.fromLocal(Buffer.concat([recompute(), askResult(1)])),
    ],
    [
      "twice",
      "out of its turn",
      (_, second, given) => second.relay.fromLocal(Buffer.concat([setInput(1, given), setInput(1, given)])),
    ],
  ])("%s: the deployment ends", (_, what, act) => expectBroken(act, what));

  test("never: the head gets nothing more, and after a while it ends", async () => {
    const { stages, first } = taught(3);
    vi.useFakeTimers();
    const { stages: timed } = taught(3);
    placeholder(timed[0] as RowStage);
    placeholder(first);
    const last = stages[2] as RowStage;
    void last.relay.fromLocal(getTensor({ name: "cache_k_l9" }, 16));
    while (last.work());
    await Promise.resolve();
    expect(takeAnswer(last, 16)).toBeNull();
    expect(timed[0]?.out.failures).toEqual([]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(timed[0]?.out.failures.map(({ message }) => message)).toEqual([expect.stringContaining("never used")]);
  });

  test("because a stage has ended: the others end as well", () => {
    const { stages, first } = taught(3);
    placeholder(first);
    (stages[1] as RowStage).relay.ended();
    expect(first.out.failures).toHaveLength(1);
    // Nothing of it was under way with the others.
    const idle = taught(3);
    idle.second.relay.ended();
    expect(idle.first.out.failures).toEqual([]);
  });
});
