import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BadFrame, COMMAND, INJECT_BYTES, INJECTED, PONG, REQUEST_PREFIX_BYTES, TENSOR_BYTES } from "./protocol.ts";
import type { RelayEnd } from "./relay-end.ts";
import {
  answer,
  getTensor,
  graph,
  hello,
  helloAnswer,
  recompute,
  request,
  setTensor,
  setTensorHash,
  tensor,
  u32,
  u64,
} from "./testing/frames.ts";
import { tap, type Tapped } from "./testing/wires.ts";
import { noteBytes, unstampWork } from "./work-stamp.ts";
import { createWorkerRelay, type WorkerRelayOptions } from "./worker-relay.ts";

const MEMORY = 1024 ** 3;
const HANDLE = 0x5000_0001;
const BASE = 0x7f00_0000_1000;
const SIZE = 4096;
const IN = { buffer: HANDLE, data: BASE };

/** A connection that has been greeted and has one buffer. */
function connection(options: Partial<WorkerRelayOptions> = {}): { readonly end: RelayEnd; readonly out: Tapped } {
  const end = createWorkerRelay({ memoryBytes: MEMORY, weights: null, readsWeights: true, ...options });
  const out = tap(end);
  void end.fromRemote(hello());
  void end.fromLocal(helloAnswer());
  void end.fromRemote(request(COMMAND.allocBuffer, Buffer.concat([u32(0), u64(SIZE)])));
  void end.fromLocal(answer(u64(HANDLE, SIZE)));
  void end.fromRemote(request(COMMAND.bufferGetBase, u64(HANDLE)));
  void end.fromLocal(answer(u64(BASE)));
  out.local();
  out.remote();
  return { end, out };
}

const inject = (name: string, bytes: number, offset = 0): Buffer =>
  request(COMMAND.inject, Buffer.concat([tensor({ ...IN, name, dimensions: [bytes / 4, 1, 1, 1] }), u64(offset, bytes)]));

describe("what a head needs passes", () => {
  test.each([
    ["a tensor's data", setTensor(IN, Buffer.alloc(16))],
    ["data up to the buffer's very end", setTensor({ ...IN, data: BASE + SIZE - 16 }, Buffer.alloc(16))],
    ["a graph", graph([{ ...IN, operator: 30 }, { operator: 0 }])],
    ["a graph again", recompute()],
    ["a result", getTensor(IN, 16)],
    ["memory set", request(COMMAND.memsetTensor, Buffer.concat([tensor(IN), u64(0, 16), Buffer.of(7)]))],
    ["a copy", request(COMMAND.copyTensor, Buffer.concat([tensor(IN), tensor(IN)]))],
    ["a buffer cleared", request(COMMAND.bufferClear, Buffer.concat([u64(HANDLE), Buffer.of(0)]))],
    ["a buffer freed", request(COMMAND.freeBuffer, u64(HANDLE))],
    [
      "questions about the device",
      Buffer.concat(
        [COMMAND.getAlignment, COMMAND.getMaxSize, COMMAND.getDeviceMemory].map((command) => request(command, u32(0))),
      ),
    ],
    ["the number of devices", request(COMMAND.deviceCount)],
    ["a tensor made ready", request(COMMAND.initTensor, tensor(IN))],
  ])("%s", (_, frame) => {
    const { end, out } = connection();
    void end.fromRemote(Buffer.from(frame));
    expect(out.local()).toEqual(frame);
  });

  test("a tensor's size is asked about without anybody's addresses", () => {
    const { end, out } = connection();
    const foreign = { buffer: 0xbad, data: 0xbad };
    const sources = [tensor(foreign), ...Array.from({ length: 9 }, () => Buffer.alloc(TENSOR_BYTES))];
    void end.fromRemote(request(COMMAND.getAllocSize, Buffer.concat([u32(0), tensor(foreign), ...sources])));
    const clean = [tensor({}), ...Array.from({ length: 9 }, () => Buffer.alloc(TENSOR_BYTES))];
    expect(out.local()).toEqual(request(COMMAND.getAllocSize, Buffer.concat([u32(0), tensor({}), ...clean])));
  });

  test("but no capabilities, which would go around the relay", () => {
    const end = createWorkerRelay({ memoryBytes: MEMORY, weights: null, readsWeights: true });
    const out = tap(end);
    void end.fromRemote(request(COMMAND.hello, Buffer.alloc(24, 0xff)));
    expect(out.local()).toEqual(hello());
    void end.fromLocal(answer(Buffer.concat([Buffer.from([7, 0, 0, 0]), Buffer.alloc(24, 0xff)])));
    expect(out.remote()).toEqual(helloAnswer());
  });
});

describe("what nobody needs ends the connection", () => {
  const huge = 2 ** 40;
  test.each([
    ["an unknown command", request(99), "command 99"],
    ["a weight that is not here", inject("blk.0.w", 16), "which is not here"],
    ["a hash, which the head's end answers", setTensorHash(IN), "SET_TENSOR_HASH"],
    ["a payload beyond its command's", request(COMMAND.deviceCount, Buffer.alloc(1)), "DEVICE_COUNT of 1 bytes"],
    ["a greeting of another version", request(COMMAND.hello, Buffer.alloc(0)), "another version"],
    ["a size that no number holds", Buffer.concat([Buffer.of(COMMAND.setTensor), Buffer.alloc(8, 0xff)]), "SET_TENSOR"],
    ["memory beyond the plan", request(COMMAND.allocBuffer, Buffer.concat([u32(0), u64(huge)])), "the stage may take"],
    ["a buffer never given out", request(COMMAND.bufferGetBase, u64(0x1234)), "not given out"],
    ["freeing what is not there", request(COMMAND.freeBuffer, u64(0x1234)), "not given out"],
    ["writing before a buffer", setTensor({ ...IN, data: BASE - 4 }, Buffer.alloc(4)), "beyond its buffer"],
    ["writing behind a buffer", setTensor(IN, Buffer.alloc(16), SIZE), "beyond a tensor's buffer"],
    ["writing more than a buffer", setTensor(IN, Buffer.alloc(SIZE + 4)), "beyond a tensor's buffer"],
    ["reading behind a buffer", getTensor(IN, 16, SIZE - 8), "beyond a tensor's buffer"],
    ["reading what has no buffer", getTensor({ data: BASE }, 16), "without a buffer"],
    ["a tensor larger than its buffer", getTensor({ ...IN, dimensions: [4096, 4096, 1, 1] }, 16), "beyond its buffer"],
    ["an operator that calls a pointer", graph([{ ...IN, operator: 95 }]), "operator 95"],
    ["an operator that is none", graph([{ ...IN, operator: 101 }]), "operator 101"],
    ["a type that is none", graph([{ ...IN, type: 43 }]), "type 43"],
    ["a type that is no more", graph([{ ...IN, type: 4 }]), "type 4"],
    ["a tensor of half a block", graph([{ ...IN, type: 8, dimensions: [33, 1, 1, 1] }]), "broken blocks"],
    ["a graph on memory of others", graph([{ buffer: 0xbad, data: 0xbad }]), "not given out"],
    ["a graph that miscounts its nodes", graph([IN], 1000), "contradict"],
  ])("%s", (_, frame, words) => {
    const { end, out } = connection();
    // A thousand nodes of a graph with one tensor: cut so that the size stays.
    const bytes = words === "contradict" ? Buffer.concat([frame.subarray(0, 9), u32(0, 2000), frame.subarray(17)]) : frame;
    expect(() => end.fromRemote(bytes)).toThrow(BadFrame);
    expect(() => connection().end.fromRemote(Buffer.from(bytes))).toThrow(words);
    expect(out.local().length).toBeLessThan(bytes.length);
  });

  test("anything before the greeting", () => {
    const end = createWorkerRelay({ memoryBytes: MEMORY, weights: null, readsWeights: true });
    tap(end);
    expect(() => end.fromRemote(request(COMMAND.deviceCount))).toThrow("before HELLO");
  });

  test("a graph's last tensor, however it is cut", () => {
    const bytes = graph([IN, IN, { ...IN, operator: 92 }]);
    for (const size of [1, 7, 296, 311]) {
      const { end } = connection();
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      expect(() => {
        for (const chunk of chunks) void end.fromRemote(Buffer.from(chunk));
      }).toThrow("operator 92");
    }
  });

  test("memory in pieces, but what was freed may be taken again", () => {
    const { end } = connection();
    const take = (): void => {
      void end.fromRemote(request(COMMAND.allocBuffer, Buffer.concat([u32(0), u64(MEMORY)])));
      void end.fromLocal(answer(u64(HANDLE + 1, MEMORY)));
    };
    for (let round = 0; round < 3; round++) {
      take();
      void end.fromRemote(request(COMMAND.freeBuffer, u64(HANDLE + 1)));
    }
    take();
    expect(take).toThrow("the stage may take");
  });

  test("an answer that nobody asked for, or of another size", () => {
    expect(() => connection().end.fromLocal(answer(u64(1)))).toThrow("nobody asked");
    const { end } = connection();
    void end.fromRemote(getTensor(IN, 16));
    expect(() => end.fromLocal(answer(Buffer.alloc(12)))).toThrow("12 bytes instead of 16");
  });

  test("an engine of another protocol", () => {
    const end = createWorkerRelay({ memoryBytes: MEMORY, weights: null, readsWeights: true });
    tap(end);
    void end.fromRemote(hello());
    expect(() => end.fromLocal(helloAnswer(8))).toThrow("RPC protocol 8, this is 7");
  });

  test("a flood of pings", () => {
    const { end } = connection();
    const flood = Buffer.concat(Array.from({ length: 1000 }, () => request(COMMAND.ping)));
    expect(() => end.fromRemote(flood)).toThrow("a flood of PING");
  });
});

describe("signs of life and times", () => {
  test("a ping is answered at once, but never inside an answer", () => {
    const { end, out } = connection();
    void end.fromRemote(request(COMMAND.ping));
    expect(out.remote()).toEqual(noteBytes(PONG));
    expect(out.local()).toHaveLength(0);
    void end.fromRemote(getTensor(IN, 64));
    const result = answer(Buffer.alloc(64, 5));
    void end.fromLocal(Buffer.from(result.subarray(0, 50)));
    void end.fromRemote(request(COMMAND.ping));
    expect(out.remote()).toEqual(result.subarray(0, 50));
    void end.fromLocal(Buffer.from(result.subarray(50)));
    expect(out.remote()).toEqual(Buffer.concat([result.subarray(50), noteBytes(PONG)]));
  });

  test("a result bears the time since its graph; what is no result bears none", async () => {
    const { end, out } = connection();
    void end.fromRemote(Buffer.concat([recompute(), getTensor(IN, 16)]));
    await new Promise((done) => setTimeout(done, 30));
    void end.fromLocal(answer(Buffer.alloc(16)));
    const stamped = out.remote();
    expect(unstampWork(stamped)).toBeGreaterThan(20);
    expect(stamped).toEqual(answer(Buffer.alloc(16)));
    void end.fromRemote(getTensor(IN, 16));
    void end.fromLocal(answer(Buffer.alloc(16)));
    expect(out.remote()).toEqual(answer(Buffer.alloc(16)));
  });
});

describe("weights from this machine's disk", () => {
  let folder = "";
  const content = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "clusterd-relay-"));
    await writeFile(join(folder, "part"), content);
  });
  afterAll(() => rm(folder, { recursive: true }));
  const local = (): WorkerRelayOptions["weights"] => ({
    parts: ["/elsewhere", join(folder, "part")],
    places: new Map([["blk.0.w", { part: 1, position: 64, bytes: 32 }]]),
  });

  test("an engine with our patch reads them by itself; its word is passed on as ours", () => {
    const { end, out } = connection({ weights: local() });
    void end.fromRemote(inject("blk.0.w", 32));
    const told = out.local();
    expect(told.readUInt8(0)).toBe(COMMAND.setTensorHash);
    expect(told.readBigUInt64LE(REQUEST_PREFIX_BYTES + TENSOR_BYTES)).toBe(0n);
    expect(told.readBigUInt64LE(REQUEST_PREFIX_BYTES + TENSOR_BYTES + 8)).toBe((1n << 48n) | 64n);
    void end.fromLocal(answer(Buffer.of(1)));
    expect(out.remote()).toEqual(noteBytes(INJECTED));
  });

  test("an engine that cannot read them ends the connection", () => {
    const { end } = connection({ weights: local() });
    void end.fromRemote(inject("blk.0.w", 32));
    expect(() => end.fromLocal(answer(Buffer.of(0)))).toThrow("could not read");
  });

  test("an engine without it gets them as if from its head, before what comes next", async () => {
    const { end, out } = connection({ weights: local(), readsWeights: false });
    await end.fromRemote(Buffer.concat([inject("blk.0.w", 32), recompute()]));
    const wanted = setTensor({ ...IN, name: "blk.0.w", dimensions: [8, 1, 1, 1] }, content.subarray(64, 96));
    expect(out.local()).toEqual(Buffer.concat([wanted, recompute()]));
    expect(out.remote()).toEqual(noteBytes(INJECTED));
  });

  test("a file that ends early is said", async () => {
    const weights = { parts: [join(folder, "part")], places: new Map([["blk.0.w", { part: 0, position: 240, bytes: 32 }]]) };
    const { end } = connection({ weights, readsWeights: false });
    await expect(end.fromRemote(inject("blk.0.w", 32))).rejects.toThrow("ended early");
  });

  test.each([
    ["another size", inject("blk.0.w", 16)],
    ["a part of it", inject("blk.0.w", 32, 4)],
    ["another name", inject("blk.1.w", 32)],
    ["more than its frame says", request(COMMAND.inject, Buffer.alloc(INJECT_BYTES + 1))],
  ])("%s is refused", (_, frame) => {
    expect(() => connection({ weights: local() }).end.fromRemote(frame)).toThrow(BadFrame);
  });
});
