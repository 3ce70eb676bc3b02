import { fc } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { createFramePacker } from "./frame-packing.ts";
import { createHeadRelay, type HeadRelay } from "./head-relay.ts";
import { BadFrame, COMMAND, INJECT_BYTES, PACKABLE_BYTES_MAX, REQUEST_PREFIX_BYTES as AT, TENSOR_BYTES } from "./protocol.ts";
import type { RelayEnd } from "./relay-end.ts";
import { createStageLoad } from "./stage-load.ts";
import { createStageMeter } from "./stage-meter.ts";
import {
  answer,
  getTensor,
  graph,
  hello,
  helloAnswer,
  recompute,
  request,
  setTensor,
  tensor,
  u32,
  u64,
} from "./testing/frames.ts";
import { tap, type Tapped } from "./testing/wires.ts";
import { createWorkerRelay } from "./worker-relay.ts";

const HANDLE = 0x5000_0001;
const BASE = 0x7f00_0000_1000;
const SIZE = 1024 * 1024;
const IN = { buffer: HANDLE, data: BASE };
const WEIGHT = { ...IN, name: "blk.0.w", dimensions: [8, 1, 1, 1] } as const;

interface Pair {
  readonly head: HeadRelay;
  readonly worker: RelayEnd;
  readonly atHead: Tapped;
  readonly atWorker: Tapped;
  /** From the head's engine to the worker's; returns what came there. */
  send(frame: Buffer): Buffer;
  sentBytes: number;
}

/** Both ends of a connection, one behind the other, that has been greeted and has one buffer. */
function pair(packs: boolean, cutBytes = Infinity): Pair {
  const load = createStageLoad({
    weights: new Map([["blk.0.w", 32]]),
    layers: [],
    local: new Set(["blk.0.w"]),
    missing: new Set(),
  });
  const head = createHeadRelay({ load, meter: createStageMeter(1), hiddenBytes: 16, packs, onHeard: () => undefined });
  const weights = { parts: ["/nowhere"], places: new Map([["blk.0.w", { part: 0, position: 64, bytes: 32 }]]) };
  const worker = createWorkerRelay({ memoryBytes: SIZE * 16, weights, readsWeights: true });
  const [atHead, atWorker] = [tap(head), tap(worker)];
  const made: Pair = {
    ...{ head, worker, atHead, atWorker, sentBytes: 0 },
    send(frame) {
      for (let at = 0; at < frame.length; at += cutBytes) {
        void head.fromLocal(Buffer.from(frame.subarray(at, at + cutBytes)));
        const wire = atHead.remote();
        made.sentBytes += wire.length;
        for (let from = 0; from < wire.length; from += cutBytes)
          void worker.fromRemote(Buffer.from(wire.subarray(from, from + cutBytes)));
      }
      return atWorker.local();
    },
  };
  const asks: readonly (readonly [Buffer, Buffer])[] = [
    [hello(), helloAnswer()],
    [request(COMMAND.allocBuffer, Buffer.concat([u32(0), u64(SIZE)])), answer(u64(HANDLE, SIZE))],
    [request(COMMAND.bufferGetBase, u64(HANDLE)), answer(u64(BASE))],
  ];
  for (const [asked, answered] of asks) {
    made.send(asked);
    void worker.fromLocal(Buffer.from(answered));
    void head.fromRemote(atWorker.remote());
  }
  made.sentBytes = 0;
  return made;
}

const bigGraph = (nodes: number, operator = 2): Buffer =>
  graph(Array.from({ length: nodes }, (_, index) => ({ ...IN, data: BASE + 16 * index, operator, name: `node_${index}` })));
const allocSize = (tokens: number): Buffer =>
  request(
    COMMAND.getAllocSize,
    Buffer.concat([
      u32(0),
      ...Array.from({ length: 11 }, () => tensor({ buffer: 0xbad, data: 0xbad, dimensions: [4, tokens, 1, 1] })),
    ]),
  );

/** A head's day: a load, two prompts. */
const DAY: readonly Buffer[] = [
  request(COMMAND.initTensor, tensor({ ...IN, name: "a" })),
  request(COMMAND.initTensor, tensor({ ...IN, name: "b" })),
  setTensor(WEIGHT, Buffer.alloc(32)),
  setTensor(WEIGHT, Buffer.alloc(32)),
  allocSize(1),
  allocSize(1),
  allocSize(14),
  setTensor(IN, Buffer.alloc(512, 9)),
  bigGraph(300),
  getTensor(IN, 16),
  recompute(),
  bigGraph(500),
  bigGraph(300),
  recompute(),
  getTensor(IN, 16),
];

describe("a head that packs", () => {
  test.each([Infinity, 4096, 700, 31])("gives the worker's engine what it would without, cut into pieces of %d bytes", (cut) => {
    const [plain, packed] = [pair(false), pair(true, cut)];
    for (const frame of DAY) {
      const came = packed.send(frame);
      expect(came.equals(plain.send(frame))).toBe(true);
      expect(came.length).toBeGreaterThan(0);
    }
    expect(plain.sentBytes).toBeGreaterThan(300_000);
    expect(packed.sentBytes).toBeLessThan(plain.sentBytes / 20);
  });

  test("in any order as well", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...DAY), { maxLength: 30 }), fc.integer({ min: 200, max: 5000 }), (frames, cut) => {
        const [plain, packed] = [pair(false), pair(true, cut)];
        for (const frame of frames) expect(packed.send(frame).equals(plain.send(frame))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test("sends the data and the steps as they are", () => {
    const { head, atHead } = pair(true);
    const frames = [setTensor(IN, Buffer.alloc(4096)), recompute(), getTensor(IN, 16)];
    for (const frame of frames) {
      void head.fromLocal(Buffer.from(frame));
      expect(atHead.remote()).toEqual(frame);
    }
  });

  test("lets a graph above the limit stream by", () => {
    const { head, atHead } = pair(true);
    const large = bigGraph(Math.ceil(PACKABLE_BYTES_MAX / (TENSOR_BYTES + 8)) + 1);
    void head.fromLocal(Buffer.from(large.subarray(0, 5000)));
    expect(atHead.remote().equals(large.subarray(0, 5000))).toBe(true);
    void head.fromLocal(Buffer.from(large.subarray(5000)));
    expect(atHead.remote().equals(large.subarray(5000))).toBe(true);
  });

  test("asks for a sign of life before or behind a packed graph, never inside", () => {
    const { head, worker, atHead, atWorker } = pair(true);
    const frame = bigGraph(300);
    void head.fromLocal(Buffer.from(frame.subarray(0, 1000)));
    head.ping();
    void head.fromLocal(Buffer.from(frame.subarray(1000)));
    head.ping();
    void worker.fromRemote(atHead.remote());
    expect(atWorker.local()).toEqual(frame);
    expect(atWorker.remote()).toHaveLength(8);
  });
});

describe("what a packed frame bears", () => {
  /** Both as it is and packed. */
  function refused(frame: Buffer, words: string): void {
    for (const bytes of [frame, createFramePacker().pack(frame) ?? Buffer.alloc(0)]) {
      const { worker, atWorker } = pair(true);
      expect(() => worker.fromRemote(Buffer.from(bytes))).toThrow(BadFrame);
      expect(() => pair(true).worker.fromRemote(Buffer.from(bytes))).toThrow(words);
      expect(atWorker.local().length).toBeLessThan(frame.length);
    }
  }
  test.each([
    ["an operator that calls a pointer", graph([{ ...IN, operator: 95 }]), "operator 95"],
    ["one at the very end of a large graph", graph([...Array.from({ length: 400 }, () => IN), { operator: 92 }]), "operator 92"],
    ["memory of others", graph([{ buffer: 0xbad, data: 0xbad }]), "not given out"],
    ["counts that contradict", request(COMMAND.graphCompute, Buffer.concat([u32(0, 9), Buffer.alloc(400)])), "contradict"],
    ["a weight that is not here", request(COMMAND.inject, Buffer.concat([tensor({ ...IN, name: "x" }), u64(0, 32)])), "not here"],
    ["a tensor of no type", request(COMMAND.initTensor, tensor({ ...IN, type: 43 })), "type 43"],
  ])("is looked at like any other: %s", (_, frame, words) => {
    refused(frame, words);
  });

  test("comes after the greeting", () => {
    const worker = createWorkerRelay({ memoryBytes: SIZE, weights: null, readsWeights: true });
    tap(worker);
    const packed = createFramePacker().pack(bigGraph(3)) ?? Buffer.alloc(0);
    expect(packed.readUInt8(0)).toBe(COMMAND.packed);
    expect(() => worker.fromRemote(packed)).toThrow("before HELLO");
  });

  test("is its engine's to take before more is unpacked", async () => {
    const { worker } = pair(true);
    let toEngine = 0;
    let taken = Promise.withResolvers<void>();
    let asked = 0;
    worker.begin({
      toLocal: (bytes) => void (toEngine += bytes.length),
      localReady: () => {
        asked += 1;
        return taken.promise;
      },
      toRemote: () => undefined,
      fail: () => undefined,
    });
    // Hundreds of graphs in a few kilobytes.
    const frame = bigGraph(1000);
    const packer = createFramePacker();
    const many = Buffer.concat(Array.from({ length: 40 }, () => packer.pack(frame) ?? Buffer.alloc(0)));
    expect(many.length).toBeLessThan(40_000);
    const work = worker.fromRemote(many);
    expect(work).toBeInstanceOf(Promise);
    const first = toEngine;
    expect(first).toBeLessThan(2 * 1024 * 1024);
    await new Promise((done) => setTimeout(done, 10));
    expect(toEngine).toBe(first);
    const before = taken;
    taken = Promise.withResolvers();
    taken.resolve();
    before.resolve();
    await work;
    expect(toEngine).toBe(40 * frame.length);
    expect(asked).toBeGreaterThan(5);
  });

  test.each([
    ["more than a frame may have", Buffer.concat([Buffer.of(COMMAND.packed), u64(PACKABLE_BYTES_MAX + 1)])],
    ["less than it must have", request(COMMAND.packed, Buffer.alloc(9))],
    [
      "a command that nobody packs",
      request(COMMAND.packed, Buffer.concat([Buffer.of(COMMAND.hello), Buffer.alloc(INJECT_BYTES)])),
    ],
  ])("is refused where it is %s", (_, bytes) => {
    expect(() => pair(true).worker.fromRemote(bytes)).toThrow(BadFrame);
  });

  test("is nothing that an engine sends", () => {
    const packed = createFramePacker().pack(bigGraph(3)) ?? Buffer.alloc(0);
    expect(() => pair(true).head.fromLocal(packed)).toThrow(`the command ${COMMAND.packed}`);
    expect(packed.length).toBeGreaterThan(AT);
  });
});
