import { ClusterdError } from "@clusterd/wire";
import { createFramePacker } from "../frame-packing.ts";
import { createHeadRelay, type HeadRelay } from "../head-relay.ts";
import { BadFrame, COMMAND, INJECTED, PONG } from "../protocol.ts";
import type { RelayEnd } from "../relay-end.ts";
import { createStageLoad } from "../stage-load.ts";
import { createStageMeter } from "../stage-meter.ts";
import { noteBytes } from "../work-stamp.ts";
import { createWorkerRelay } from "../worker-relay.ts";
import { askResult, ROW_BYTES, runBatches, setInput, stageRow, takeAnswer, type RowStage } from "./stage-row.ts";
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
} from "./frames.ts";

export interface FuzzResult {
  readonly frames: number;
  /** Frames that a connection took. */
  readonly passed: number;
  /** Connections that were ended for what came. */
  readonly refused: number;
  /** Errors that say nothing of the frame: defects. */
  readonly unexpected: readonly string[];
  /** The most that either end had sent of a chunk of at most 4 KiB: nothing multiplies. */
  readonly heldBytesMax: number;
}

const HANDLE = 0x5000_0001;
const BASE = 0x7f00_0000_1000;
const SIZE = 1024 * 1024;
const IN = { buffer: HANDLE, data: BASE };
const CONNECTION_FRAMES_MAX = 200;

const WEIGHTS = new Map([["blk.0.w", 64]]);

/** What a head sends, one of each kind. */
const REQUESTS: readonly Buffer[] = [
  hello(),
  request(COMMAND.deviceCount),
  request(COMMAND.getAlignment, u32(0)),
  request(COMMAND.allocBuffer, Buffer.concat([u32(0), u64(SIZE)])),
  request(COMMAND.bufferGetBase, u64(HANDLE)),
  request(COMMAND.bufferClear, Buffer.concat([u64(HANDLE), Buffer.of(0)])),
  request(COMMAND.initTensor, tensor(IN)),
  request(COMMAND.getAllocSize, Buffer.concat([u32(0), ...Array.from({ length: 11 }, () => tensor(IN))])),
  request(COMMAND.memsetTensor, Buffer.concat([tensor(IN), u64(0, 16), Buffer.of(7)])),
  request(COMMAND.copyTensor, Buffer.concat([tensor(IN), tensor(IN)])),
  request(COMMAND.inject, Buffer.concat([tensor({ ...IN, name: "blk.0.w", dimensions: [16, 1, 1, 1] }), u64(0, 64)])),
  request(COMMAND.ping),
  setTensor({ ...IN, name: "blk.0.w", dimensions: [16, 1, 1, 1] }, Buffer.alloc(64)),
  setTensor({ ...IN, name: "inp" }, Buffer.alloc(512)),
  setTensorHash({ ...IN, name: "blk.0.w" }),
  graph([IN, { ...IN, operator: 30 }, {}]),
  graph(Array.from({ length: 12 }, (_, index) => ({ ...IN, data: BASE + 64 * index, operator: index }))),
  recompute(),
  getTensor(IN, 16),
  askResult(0),
  askResult(1),
  setInput(1, Buffer.alloc(ROW_BYTES, 7)),
  request(COMMAND.freeBuffer, u64(HANDLE)),
];
/** What an engine, or the other end, sends. */
const ANSWERS: readonly Buffer[] = [
  helloAnswer(),
  answer(u32(1)),
  answer(u64(64)),
  answer(u64(HANDLE, SIZE)),
  answer(u64(BASE)),
  answer(Buffer.of(1)),
  answer(Buffer.alloc(16)),
  noteBytes(PONG),
  noteBytes(INJECTED),
];

/** Numbers from a seed, uniform below `limit` (mulberry32's mixing). */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** Sends mutated frames through both ends of the relay, as if from both sides, over connections that begin anew when they are ended. */
export async function fuzzRelay({ frames, seed }: { readonly frames: number; readonly seed: number }): Promise<FuzzResult> {
  const random = randomFrom(seed);
  const unexpected: string[] = [];
  let [done, passed, refused, heldBytesMax] = [0, 0, 0, 0];
  /** The latest placeholder, set where it belongs. */
  let given: Buffer = Buffer.alloc(0);
  let boards = new DisposableStack();

  function mutate(frame: Buffer): Buffer {
    const bytes = Buffer.from(frame);
    switch (random(8)) {
      case 0:
        return bytes.subarray(0, random(bytes.length + 1));
      case 1:
        bytes.writeBigUInt64LE(
          BigInt.asUintN(64, BigInt(random(2 ** 31)) << BigInt(random(40))),
          Math.min(bytes.length - 8, 1 + random(2)),
        );
        return bytes;
      case 2:
        bytes[0] = random(256);
        return bytes;
      case 3:
      case 4:
        for (let flips = random(8); flips >= 0; flips--) bytes[random(bytes.length)] = random(256);
        return bytes;
      case 5:
        return Buffer.concat([bytes, Buffer.alloc(random(32), random(256))]);
      default:
        return bytes;
    }
  }

  /** By itself, or one of a row of stages that pass their results on: then with placeholders in the air. */
  function headEnd(): HeadRelay {
    if (random(64) > 0) {
      return createHeadRelay({
        load: createStageLoad({ weights: WEIGHTS, layers: [], local: new Set(WEIGHTS.keys()), missing: new Set() }),
        meter: createStageMeter(1),
        hiddenBytes: 16,
        packs: random(2) === 0,
        onHeard: () => undefined,
      });
    }
    const { board, stages } = stageRow(3);
    boards.use(board);
    runBatches(stages, 3);
    const [first, second] = stages as [RowStage, RowStage];
    void first.relay.fromLocal(Buffer.concat([setInput(0, Buffer.alloc(ROW_BYTES)), recompute(), askResult(0)]));
    given = setInput(1, takeAnswer(first) ?? Buffer.alloc(ROW_BYTES));
    return random(2) === 0 ? first.relay : second.relay;
  }

  function begin(): { readonly end: RelayEnd; readonly sent: () => number } {
    let bytesSent = 0;
    const end: RelayEnd =
      random(2) === 0
        ? createWorkerRelay({
            memoryBytes: SIZE * 16,
            weights: { parts: ["/nowhere"], places: new Map([["blk.0.w", { part: 0, position: 0, bytes: 64 }]]) },
            readsWeights: true,
          })
        : headEnd();
    const count = (bytes: Buffer): void => void (bytesSent += bytes.length);
    end.begin({ toLocal: count, toRemote: count, localReady: () => Promise.resolve(), fail: () => undefined });
    return { end, sent: () => bytesSent };
  }

  while (done < frames) {
    given = Buffer.alloc(0);
    boards.dispose();
    boards = new DisposableStack();
    const { end, sent } = begin();
    const isHead = "ping" in end;
    const packer = createFramePacker();
    try {
      for (let count = 0; count < CONNECTION_FRAMES_MAX; count++) {
        const before = sent();
        const isRequest = count === 0 || random(2) === 0;
        const list = isRequest ? REQUESTS : ANSWERS;
        // Mostly in an order that makes sense, so that there is a state to be confused.
        const chosen = list[random(3) === 0 ? random(list.length) : count % list.length] ?? hello();
        const asked = isRequest && !isHead && random(2) === 0 ? (packer.pack(chosen) ?? chosen) : chosen;
        const whole = isRequest && given.length > 0 && random(8) === 0 ? given : asked;
        const bytes = count < 2 || random(3) === 0 ? whole : mutate(whole);
        done += 1;
        const cut = random(bytes.length + 1);
        for (const piece of [Buffer.from(bytes.subarray(0, cut)), Buffer.from(bytes.subarray(cut))])
          await (isRequest === isHead ? end.fromLocal(piece) : end.fromRemote(piece));
        passed += 1;
        heldBytesMax = Math.max(heldBytesMax, sent() - before);
      }
    } catch (error) {
      refused += 1;
      const known =
        error instanceof BadFrame ||
        error instanceof ClusterdError ||
        (error instanceof Error && error.message.startsWith("rpc-server could not"));
      if (!known && unexpected.length < 10)
        unexpected.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
    end.ended();
  }
  boards.dispose();
  return { frames: done, passed, refused, unexpected, heldBytesMax };
}
