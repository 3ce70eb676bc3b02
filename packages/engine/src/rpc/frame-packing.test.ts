import { zstdCompressSync } from "node:zlib";
import { fc } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { createFrameMemory, REMEMBERED_BYTES_MAX, REMEMBERED_FRAMES_MAX } from "./frame-memory.ts";
import { createFramePacker, createFrameUnpacker } from "./frame-packing.ts";
import { encodeInject } from "./inject-weight.ts";
import { BadFrame, COMMAND, PACKABLE_BYTES_MAX, PACKED_HEAD_BYTES, REQUEST_PREFIX_BYTES as AT, writeSize } from "./protocol.ts";
import { getTensor, graph, recompute, request, setTensor, tensor, u32, type TensorSpec } from "./testing/frames.ts";
import { applyDifference, bytesOf, encodeDifference } from "./word-difference.ts";

/** Sends frames through both ends of a connection; what was packed is told. */
function connection(): (frame: Buffer) => { readonly frame: Buffer; readonly sentBytes: number } {
  const [packer, unpacker] = [createFramePacker(), createFrameUnpacker()];
  return (frame) => {
    const packed = packer.pack(frame);
    return { frame: packed === null ? frame : unpacker.unpack(packed), sentBytes: (packed ?? frame).length };
  };
}
/** The graph of so many layers for so many tokens, as a head with other addresses makes it. */
function layersGraph(layers: number, tokens: number, addresses = 0): Buffer {
  const tensors = Array.from({ length: layers * 20 }, (_, index): TensorSpec => ({
    name: `node-${index % 20}-${Math.floor(index / 20)}`,
    data: 0x7f00_0000_1000 + index * 4096 + addresses,
    buffer: 0x10,
    operator: index % 20,
    dimensions: [512, tokens, 1, 1],
  }));
  return graph(tensors);
}
const inject = (name: string, data: number): Buffer =>
  encodeInject(setTensor({ name, data, buffer: 0x10 }, Buffer.alloc(16)), 16);

describe("frames of shapes and names", () => {
  test("come out as they went in, a graph like the one before in next to nothing", () => {
    const send = connection();
    const first = layersGraph(12, 1);
    const sent = [first, layersGraph(12, 14), layersGraph(12, 1), layersGraph(12, 1)].map((frame) => {
      const out = send(frame);
      expect(out.frame.equals(frame)).toBe(true);
      return out.sentBytes;
    });
    expect(sent[0]).toBeLessThan(first.length / 10);
    for (const bytes of sent.slice(1)) expect(bytes).toBeLessThan(first.length / 100);
    // The very same once more: its name and its checksum.
    expect(sent[3]).toBe(AT + PACKED_HEAD_BYTES);
  });

  test("of questions a fifth and less is sent", () => {
    const send = connection();
    send(inject("blk.0.attn_q.weight", 0x7000));
    expect(send(inject("blk.1.attn_q.weight", 0x9000)).sentBytes).toBeLessThan(80);
    const asked = (tokens: number): Buffer =>
      request(
        COMMAND.getAllocSize,
        Buffer.concat([u32(0), ...Array.from({ length: 11 }, () => tensor({ dimensions: [64, tokens, 1, 1] }))]),
      );
    send(asked(1));
    const out = send(asked(7));
    expect(out.frame).toEqual(asked(7));
    expect(out.sentBytes).toBeLessThan(400);
  });

  test("alone are packed: what somebody wrote, and what a model made of it, goes as it is", () => {
    const packer = createFramePacker();
    for (const frame of [
      setTensor({}, Buffer.alloc(4096)),
      getTensor({}, 16),
      recompute(),
      request(COMMAND.memsetTensor, Buffer.alloc(312 + 1)),
    ]) {
      expect(packer.takes(frame)).toBe(false);
      expect(packer.pack(frame)).toBeNull();
    }
    expect(packer.takes(layersGraph(1, 1))).toBe(true);
  });

  test("above the limit stream by", () => {
    const prefix = Buffer.alloc(AT);
    prefix.writeUInt8(COMMAND.graphCompute, 0);
    for (const [bytes, taken] of [
      [PACKABLE_BYTES_MAX, true],
      [PACKABLE_BYTES_MAX + 4, false],
    ] as const) {
      writeSize(prefix, 1, bytes);
      expect(createFramePacker().takes(prefix)).toBe(taken);
    }
  });

  test("that would not become smaller go as they are, and are not remembered", () => {
    const packer = createFramePacker();
    const noise = (seed: number): Buffer =>
      request(
        COMMAND.initTensor,
        Buffer.from(Array.from({ length: 296 }, (_, index) => (index * index * 7 + seed * 31 + 1) % 251 || 1)),
      );
    expect(packer.pack(noise(1))).toBeNull();
    expect(packer.pack(noise(1))).toBeNull();
  });
});

describe("any sequence of frames", () => {
  const shapes = fc.record({
    layers: fc.integer({ min: 1, max: 3 }),
    tokens: fc.integer({ min: 1, max: 600 }),
    addresses: fc.integer({ min: 0, max: 2 ** 30 }),
  });
  const frames = fc.oneof(
    shapes.map(({ layers, tokens, addresses }) => layersGraph(layers, tokens, addresses)),
    fc.record({ name: fc.string({ maxLength: 60 }), data: fc.nat() }).map(({ name, data }) => inject(name, data)),
    fc
      .tuple(
        fc.constantFrom(COMMAND.graphCompute, COMMAND.initTensor, COMMAND.getAllocSize, COMMAND.inject),
        fc.uint8Array({ maxLength: 400 }),
      )
      .map(([command, bytes]) => request(command, Buffer.from(bytes))),
    fc.uint8Array({ maxLength: 64 }).map((bytes) => setTensor({}, Buffer.from(bytes))),
  );

  test("comes out as it went in", () => {
    fc.assert(
      fc.property(fc.array(frames, { maxLength: 40 }), (sequence) => {
        const [packer, unpacker] = [createFramePacker(), createFrameUnpacker()];
        for (const frame of sequence) {
          const before = Buffer.from(frame);
          const packed = packer.pack(frame);
          expect(frame.equals(before)).toBe(true);
          if (packed === null) continue;
          expect(packed.length).toBeLessThan(frame.length);
          // A size that its command cannot have was never an engine's: the other end refuses it.
          if (isOfItsCommand(frame)) expect(unpacker.unpack(packed).equals(frame)).toBe(true);
          else return expect(() => unpacker.unpack(packed)).toThrow(BadFrame);
        }
      }),
    );
  });

  test("of differences as well, never longer than what they are of", () => {
    const words = fc.array(fc.oneof(fc.constant(0), fc.nat({ max: 3 })), { maxLength: 300 });
    fc.assert(
      fc.property(words, words, fc.boolean(), (a, b, isFirst) => {
        const now = Uint32Array.from(a);
        const before = isFirst ? null : Uint32Array.from(a, (_, index) => b[index] ?? 0);
        const difference = encodeDifference(now, before);
        if (difference === null) return;
        expect(difference.length).toBeLessThan(Math.max(1, now.byteLength));
        const again = before === null ? new Uint32Array(now.length) : before.slice();
        applyDifference(again, difference);
        expect(again).toEqual(now);
      }),
    );
  });

  const isOfItsCommand = (frame: Buffer): boolean => {
    const bytes = frame.length - AT;
    switch (frame.readUInt8(0)) {
      case COMMAND.initTensor:
        return bytes === 296;
      case COMMAND.getAllocSize:
        return bytes === 4 + 11 * 296;
      case COMMAND.inject:
        return bytes === 312;
      default:
        return bytes >= 12;
    }
  };
});

test("what is remembered has a limit, in frames and in bytes; both ends forget the same", () => {
  const memory = createFrameMemory();
  for (let words = 1; words <= 100; words += 1) memory.keep(1, new Uint32Array(words));
  expect(memory.frames).toBe(REMEMBERED_FRAMES_MAX);
  expect(memory.find(1, 4 * 100)).toHaveLength(100);
  expect(memory.find(1, 4)).toBeNull();
  for (let more = 0; more < 8; more += 1) memory.keep(1, new Uint32Array(PACKABLE_BYTES_MAX / 4 - more));
  expect(memory.bytes).toBeLessThanOrEqual(REMEMBERED_BYTES_MAX);
  const send = connection();
  // Many more graphs than are remembered, again and again.
  for (let round = 0; round < 3; round += 1)
    for (let layers = 1; layers <= REMEMBERED_FRAMES_MAX + 4; layers += 1) {
      const frame = layersGraph(layers, round + 1);
      expect(send(frame).frame.equals(frame)).toBe(true);
    }
});

describe("what is no packed frame", () => {
  interface Parts {
    readonly command: number;
    readonly form: number;
    readonly payloadBytes: number;
    readonly crc: number;
    readonly data: Buffer;
  }
  const packedOf = (parts: Partial<Parts>): Buffer => {
    const { command = COMMAND.initTensor, form = 0, payloadBytes = 296, crc = 0, data = Buffer.alloc(0) } = parts;
    const head = Buffer.alloc(PACKED_HEAD_BYTES);
    head.writeUInt8(command, 0);
    head.writeUInt8(form, 1);
    head.writeUInt32LE(payloadBytes, 2);
    head.writeUInt32LE(crc, 6);
    return request(COMMAND.packed, Buffer.concat([head, data]));
  };
  const unpack = (parts: Partial<Parts>): Buffer => createFrameUnpacker().unpack(packedOf(parts));
  const graphOf = { command: COMMAND.graphCompute, payloadBytes: PACKABLE_BYTES_MAX };

  test.each<[string, Partial<Parts>, string]>([
    ["a command that bears content", { command: COMMAND.setTensor, payloadBytes: 4096 }, "the command 6 of 4096 bytes packed"],
    ["a packed frame in another", { command: COMMAND.packed, payloadBytes: 4096 }, "the command 194"],
    ["a size of another command", { payloadBytes: 292 }, "INIT_TENSOR of 292 bytes"],
    [
      "a size above the limit",
      { ...graphOf, payloadBytes: PACKABLE_BYTES_MAX + 4 },
      `the command 10 of ${PACKABLE_BYTES_MAX + 4}`,
    ],
    ["four gigabytes", { ...graphOf, payloadBytes: 0xffff_fffc }, "the command 10 of 4294967292"],
    ["more than what is in it", { data: Buffer.alloc(300) }, "packed"],
    ["an unknown way", { form: 2 }, "packed in the way 2"],
    ["another content", { crc: 1 }, "not what it was"],
    ["words beyond the end", { data: Buffer.from([74, 1, 0, 0, 0, 0]) }, "beyond its size"],
    ["more words than it has", { data: Buffer.from([0, 2, 0, 0, 0, 0]) }, "beyond its size"],
    ["no words", { data: Buffer.from([1, 0]) }, "beyond its size"],
    ["a count without an end", { data: Buffer.from([0x80]) }, "broken counts"],
    ["a count too long", { data: Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 0]) }, "broken counts"],
    ["what zstd never made", { form: 1, data: Buffer.from("not zstd") }, "cannot be unpacked"],
    ["a bomb", { ...graphOf, form: 1, data: zstdCompressSync(Buffer.alloc(64 * PACKABLE_BYTES_MAX)) }, "cannot be unpacked"],
  ])("%s is refused", (_, parts, words) => {
    expect(() => unpack(parts)).toThrow(BadFrame);
    expect(() => unpack(parts)).toThrow(words);
  });

  test("but one that is, is taken", () => {
    const frame = request(COMMAND.initTensor, tensor({}));
    const packed = createFramePacker().pack(frame);
    expect(packed).not.toBeNull();
    expect(createFrameUnpacker().unpack(packed ?? frame)).toEqual(frame);
  });
});

test("bytes of words are the words' own memory", () => {
  const words = Uint32Array.of(1, 2, 3).subarray(1);
  expect(bytesOf(words)).toEqual(u32(2, 3));
});
