import { describe, expect, test } from "vitest";
import { createHeadRelay, type HeadRelay } from "./head-relay.ts";
import { encodeInject } from "./inject-weight.ts";
import { BadFrame, COMMAND, INJECTED, PONG } from "./protocol.ts";
import { createStageLoad, type StageLoad, type StageLoadOptions } from "./stage-load.ts";
import { createStageMeter, type StageMeter } from "./stage-meter.ts";
import { answer, getTensor, hello, helloAnswer, recompute, request, setTensor, setTensorHash } from "./testing/frames.ts";
import { tap, type Tapped } from "./testing/wires.ts";
import { noteBytes, stampWork } from "./work-stamp.ts";

const HIDDEN = 16;
const IN = { buffer: 0x10, data: 0x1000 };
const BIG = 600 * 1024 * 1024;

interface Connection {
  readonly relay: HeadRelay;
  readonly out: Tapped;
  readonly load: StageLoad;
  readonly meter: StageMeter;
  readonly heard: boolean[];
}

function connection(books: Partial<StageLoadOptions> = {}): Connection {
  const weights = new Map([
    ["blk.0.w", 16],
    ["blk.1.w", 16],
    ["blk.0.big", BIG],
    ["blk.1.big", BIG],
  ]);
  const load = createStageLoad({ weights, layers: [["blk.0.w"], ["blk.1.w"]], local: new Set(), missing: new Set(), ...books });
  const meter = createStageMeter(1);
  const heard: boolean[] = [];
  const relay = createHeadRelay({ load, meter, hiddenBytes: HIDDEN, onHeard: (progress) => void heard.push(progress) });
  return { relay, out: tap(relay), load, meter, heard };
}

function stamped(payload: Buffer, workMs: number): Buffer {
  const bytes = answer(payload);
  stampWork(bytes, workMs);
  return bytes;
}

describe("weights", () => {
  test("that the worker has are left to it, the others go", () => {
    const { relay, out, load } = connection({ local: new Set(["blk.0.w"]) });
    const kept = setTensor({ ...IN, name: "blk.0.w" }, Buffer.alloc(16));
    const sent = setTensor({ ...IN, name: "blk.1.w" }, Buffer.alloc(16, 1));
    void relay.fromLocal(Buffer.concat([kept, sent]));
    expect(out.remote()).toEqual(Buffer.concat([encodeInject(kept, 16), sent]));
    expect(() => load.assertComplete()).toThrow("1 of 1 weights were not put in");
    void relay.fromRemote(noteBytes(INJECTED));
    expect(out.local()).toHaveLength(0);
    load.assertComplete();
    expect(load.summary).toEqual({ injectedTensors: 1, injectedBytes: 16, sentTensors: 1, sentBytes: 16 });
  });

  test("of more than 10 MiB are answered for without a journey", () => {
    const { relay, out } = connection({ local: new Set(["blk.0.big"]) });
    const asked = setTensorHash({ ...IN, name: "blk.0.big" });
    void relay.fromLocal(Buffer.from(asked));
    expect(out.local()).toEqual(answer(Buffer.of(1)));
    expect(out.remote()).toEqual(encodeInject(asked, BIG));
    void relay.fromLocal(setTensorHash({ ...IN, name: "blk.1.w" }));
    expect(out.local()).toEqual(answer(Buffer.of(0)));
    expect(out.remote()).toHaveLength(0);
  });

  test("are left to a worker whose own have the same hash, and to no other", () => {
    const { relay, out } = connection({ hashed: new Map([["blk.0.big", "00000000000000ab"]]) });
    const asking = (name: string, hash: bigint): Buffer => {
      const asked = setTensorHash({ ...IN, name });
      asked.writeBigUInt64LE(hash, asked.length - 8);
      return asked;
    };
    // 0 is the word of an engine that hashes nothing.
    for (const [name, hash] of [
      ["blk.0.big", 0xacn],
      ["blk.0.big", 0n],
      ["blk.1.big", 0xabn],
    ] as const) {
      void relay.fromLocal(asking(name, hash));
      expect(out.local()).toEqual(answer(Buffer.of(0)));
      expect(out.remote()).toHaveLength(0);
    }
    const right = asking("blk.0.big", 0xabn);
    void relay.fromLocal(Buffer.from(right));
    expect(out.local()).toEqual(answer(Buffer.of(1)));
    expect(out.remote()).toEqual(encodeInject(right, BIG));
  });

  test("are not left to a worker faster than it puts them in", async () => {
    const { relay, out } = connection({ local: new Set(["blk.0.big", "blk.1.big"]) });
    void relay.fromLocal(setTensorHash({ ...IN, name: "blk.0.big" }));
    let over = false;
    const second = Promise.resolve(relay.fromLocal(setTensorHash({ ...IN, name: "blk.1.big" }))).then(() => (over = true));
    expect(out.remote()).toEqual(encodeInject(setTensorHash({ ...IN, name: "blk.0.big" }), BIG));
    await new Promise((done) => setTimeout(done, 10));
    expect(over).toBe(false);
    void relay.fromRemote(noteBytes(INJECTED));
    await second;
    expect(out.remote()).toEqual(encodeInject(setTensorHash({ ...IN, name: "blk.1.big" }), BIG));
  });

  test("that nobody has are refused by name", () => {
    const { relay } = connection({ missing: new Set(["blk.1.w"]) });
    expect(() => relay.fromLocal(setTensor({ ...IN, name: "blk.1.w" }, Buffer.alloc(16)))).toThrow(
      "blk.1.w is neither in the head's file nor in the worker's",
    );
  });

  test("that never came are missed, unless the engine has no use for them", () => {
    const { relay, load } = connection({ layers: [["blk.0.w", "blk.0.big"], ["blk.1.w"]] });
    void relay.fromLocal(setTensor({ ...IN, name: "blk.0.w" }, Buffer.alloc(16)));
    expect(() => load.assertComplete()).toThrow("never loaded blk.1.w");
    void relay.fromLocal(setTensor({ ...IN, name: "blk.1.w" }, Buffer.alloc(16)));
    load.assertComplete();
  });

  test("that never came are missed where the head has a hole", () => {
    const { relay, load } = connection({
      layers: [["blk.0.w", "blk.0.big"]],
      local: new Set(["blk.0.w", "blk.0.big"]),
      missing: new Set(["blk.0.w", "blk.0.big"]),
    });
    void relay.fromLocal(setTensor({ ...IN, name: "blk.0.w" }, Buffer.alloc(16)));
    void relay.fromRemote(noteBytes(INJECTED));
    expect(() => load.assertComplete()).toThrow("never loaded blk.0.big");
  });
});

describe("times", () => {
  test("are told from the frames, and taken out of the answers", () => {
    const { relay, out, meter } = connection();
    const step = Buffer.concat([setTensor(IN, Buffer.alloc(16)), recompute(), getTensor(IN, 16)]);
    for (let round = 0; round < 5; round++) {
      void relay.fromLocal(Buffer.from(step));
      expect(meter.open?.tokens).toBe(1);
      void relay.fromRemote(stamped(Buffer.alloc(16, 3), 1.25));
      expect(meter.open).toBeNull();
      expect(out.local()).toEqual(answer(Buffer.alloc(16, 3)));
      expect(out.remote()).toEqual(step);
    }
    // The first has nothing before it.
    expect(meter.timing?.steps).toBe(4);
    expect(meter.timing?.computeMs).toEqual({ p50: 1.25, p95: 1.25 });
    expect(meter.timing?.bytesUp).toBe(step.length - getTensor(IN, 16).length + getTensor(IN, 16).length);
    expect(meter.timing?.bytesDown).toBe(24);
  });

  test("of prompts are no decode steps", () => {
    const { relay, meter } = connection();
    const batch = setTensor({ ...IN, dimensions: [4, 64, 1, 1] }, Buffer.alloc(HIDDEN * 64));
    for (let round = 0; round < 3; round++) {
      void relay.fromLocal(Buffer.concat([batch, recompute(), getTensor(IN, 16)]));
      expect(meter.open?.tokens).toBe(64);
      void relay.fromRemote(stamped(Buffer.alloc(16), 5));
    }
    expect(meter.timing).toBeNull();
    expect(meter.spans.map(({ tokens }) => tokens)).toEqual([64, 64, 64]);
  });
});

test("a prompt's batches that are asked about in one are waited for as one", () => {
  const { relay, meter } = connection();
  const batch = setTensor({ ...IN, dimensions: [4, 64, 1, 1] }, Buffer.alloc(HIDDEN * 64));
  void relay.fromLocal(Buffer.concat([batch, recompute()]));
  const first = meter.open;
  void relay.fromLocal(Buffer.concat([batch, recompute(), batch, recompute(), getTensor(IN, 16)]));
  expect(meter.open?.tokens).toBe(192);
  expect(meter.open?.sinceMs).toBeGreaterThan(first?.sinceMs ?? Infinity);
  void relay.fromRemote(stamped(Buffer.alloc(16), 5));
  expect(meter.open).toBeNull();
  void relay.fromLocal(Buffer.concat([setTensor(IN, Buffer.alloc(16)), recompute()]));
  expect(meter.open?.tokens).toBe(1);
});

describe("signs of life", () => {
  test("are told from progress, and never reach the engine", () => {
    const { relay, out, heard } = connection();
    void relay.fromRemote(noteBytes(PONG));
    void relay.fromRemote(noteBytes(PONG));
    expect(heard).toEqual([false, false]);
    void relay.fromLocal(hello());
    expect(relay.waiting).toBe(true);
    void relay.fromRemote(helloAnswer());
    expect(relay.waiting).toBe(false);
    expect(heard.at(-1)).toBe(true);
    expect(out.local()).toEqual(helloAnswer());
  });

  test("are asked for between frames only", () => {
    const { relay, out } = connection();
    relay.ping();
    expect(out.remote()).toEqual(request(COMMAND.ping));
    const frame = setTensor(IN, Buffer.alloc(64));
    void relay.fromLocal(Buffer.from(frame.subarray(0, -8)));
    out.remote();
    relay.ping();
    expect(out.remote()).toHaveLength(0);
    void relay.fromLocal(Buffer.from(frame.subarray(-8)));
    relay.ping();
    expect(out.remote()).toEqual(Buffer.concat([frame.subarray(-8), request(COMMAND.ping)]));
  });
});

describe("what is not the other end's", () => {
  test.each([
    ["an answer that nobody asked for", answer(Buffer.alloc(8)), BadFrame],
    ["a word that means nothing", noteBytes(INJECTED - 1n), BadFrame],
    ["a weight put in that was not left to it", noteBytes(INJECTED), BadFrame],
  ])("%s ends the connection", (_, bytes, kind) => {
    expect(() => connection().relay.fromRemote(bytes)).toThrow(kind);
  });

  test("an engine of another protocol is refused with both versions named", () => {
    const { relay } = connection();
    void relay.fromLocal(hello());
    expect(() => relay.fromRemote(helloAnswer(6))).toThrow("its engine speaks RPC protocol 6.0.0, ours 7");
  });
});
