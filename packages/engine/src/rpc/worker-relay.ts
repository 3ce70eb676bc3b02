import { createFrameUnpacker } from "./frame-packing.ts";
import { createFrameRest } from "./frame-rest.ts";
import { createFrameScanner, type FrameScanner, type Verdict } from "./frame-scanner.ts";
import { shapeOfRequest } from "./command-rules.ts";
import { createGraphGuard } from "./graph-guard.ts";
import { encodeReadWeight, placeOfInject, streamWeight } from "./inject-weight.ts";
import {
  BadFrame,
  COMMAND,
  GRAPH_HEAD_BYTES,
  INJECTED,
  PONG,
  readSize,
  REQUEST_PREFIX_BYTES as AT,
  RESPONSE_PREFIX_BYTES,
  RPC_PROTOCOL_MAJOR,
  SET_TENSOR_HEAD_BYTES,
  TENSOR,
  TENSOR_BYTES,
} from "./protocol.ts";
import { answerBytesOf, createQuestionQueue, type Question } from "./question-queue.ts";
import { NO_WIRES, type RelayEnd, type RelayWires } from "./relay-end.ts";
import { createTensorGuard } from "./tensor-guard.ts";
import type { LocalWeights } from "./weight-source.ts";
import { collectFrame } from "./whole-frame.ts";
import { noteBytes, stampWork } from "./work-stamp.ts";

/** Above the planned memory: compute buffers are estimates, and a head asks for a little more at times. */
const MEMORY_FACTOR = 1.5;
const MEMORY_EXTRA_BYTES: number = 512 * 1024 * 1024;
/** The tensor that GET_ALLOC_SIZE asks about, and its sources. */
const ALLOC_SIZE_TENSORS = 11;
const HELLO_ANSWER_BYTES = 28;
/** An answer takes a moment to pass: a head that asks for more signs of life meanwhile wants something else. */
const NOTES_MAX = 4096;
/** Signs of life may be asked for so often, and so many at once: more would be answered into a full buffer. */
const PING_EVERY_MS = 50;
const PINGS_MAX = 256;
/** A small packed frame can be a large one: after so many bytes the engine must have taken them before more are unpacked. */
const UNPACKED_BYTES_MAX: number = 1024 * 1024;

export interface WorkerRelayOptions {
  /** What the plan gives the stage. */
  readonly memoryBytes: number;
  /** What is here already; null: everything comes from the head. */
  readonly weights: LocalWeights | null;
  /** Whether the rpc-server reads weights by itself, by our patch; else they are streamed to it. */
  readonly readsWeights: boolean;
}

/**
 * The worker's end of one connection: lets through what a head needs and nothing else, puts in the weights that are here, and tells
 * with each result how long the engine worked for it.
 */
export function createWorkerRelay({ memoryBytes, weights, readsWeights }: WorkerRelayOptions): RelayEnd {
  const guard = createTensorGuard(Math.max(memoryBytes * MEMORY_FACTOR, memoryBytes + MEMORY_EXTRA_BYTES));
  const graph = createGraphGuard(guard);
  const questions = createQuestionQueue();
  let wires: RelayWires = NO_WIRES;
  let greeted = false;
  let inGraph = false;
  /** When the last graph was passed on whose result nobody has asked for yet. */
  let graphMs: number | null = null;
  let answeredMs = 0;
  let pings = 0;
  let pingedMs = 0;
  /** Words of our own that wait for the end of an answer. */
  const notes: Buffer[] = [];
  const unpacker = createFrameUnpacker();
  const packedRest = createFrameRest();
  let unpackedBytes = 0;

  const requests: FrameScanner = createFrameScanner({
    prefixBytes: AT,
    measure: (prefix) => shapeOfRequest(prefix, true),
    begin,
    body(bytes) {
      if (inGraph) graph.body(bytes);
    },
    dropped: (bytes) => packedRest.next(bytes),
    emit: (bytes) => wires.toLocal(bytes),
  });

  function begin(head: Buffer): Verdict | Promise<Verdict> {
    const command = head.readUInt8(0);
    if (!greeted && command !== COMMAND.hello && command !== COMMAND.ping) throw new BadFrame("a command before HELLO");
    inGraph = command === COMMAND.graphCompute;
    if (command === COMMAND.ping) return pong();
    if (command === COMMAND.inject) return inject(head);
    if (command === COMMAND.packed) return takePacked(head);
    check(command, head);
    const answerBytes = answerBytesOf(head);
    if (answerBytes !== null) {
      const isResult = command === COMMAND.getTensor;
      questions.add({ command, answerBytes, about: aboutOf(command, head), graphMs: isResult ? graphMs : null });
      if (isResult) graphMs = null;
    }
    return "pass";
  }

  function takePacked(head: Buffer): Verdict | Promise<Verdict> {
    if (unpackedBytes > UNPACKED_BYTES_MAX) {
      unpackedBytes = 0;
      return wires.localReady().then(() => takePacked(head));
    }
    if (head.length === AT + readSize(head, 1)) return unpacked(head);
    collectFrame(head, packedRest, (frame) => {
      const graphFrame = unpacked(frame);
      if (!Buffer.isBuffer(graphFrame)) throw new BadFrame("a packed frame larger than what is in it");
      wires.toLocal(graphFrame);
    });
    return "drop";
  }

  /** What was packed is looked at like any other frame. */
  function unpacked(packed: Buffer): Verdict | Promise<Verdict> {
    const frame = unpacker.unpack(packed);
    unpackedBytes += frame.length;
    const headBytes = AT + shapeOfRequest(frame, true).headBytes;
    const verdict = begin(frame.subarray(0, headBytes));
    if (verdict !== "pass") return verdict;
    if (inGraph) graph.body(frame.subarray(headBytes));
    return frame;
  }

  /** What a head may not do throws. */
  function check(command: number, head: Buffer): void {
    switch (command) {
      case COMMAND.hello:
        greeted = true;
        // No capabilities: remote access to memory would go around all of this.
        head.fill(0, AT);
        return;
      case COMMAND.allocBuffer:
        guard.allocating(readSize(head, AT + 4));
        return;
      case COMMAND.bufferGetBase:
      case COMMAND.bufferClear:
        guard.known(readSize(head, AT));
        return;
      case COMMAND.freeBuffer:
        guard.freed(readSize(head, AT));
        return;
      case COMMAND.setTensor: {
        const bytes = readSize(head, 1) - SET_TENSOR_HEAD_BYTES;
        guard.tensor(head, AT, { offset: readSize(head, AT + TENSOR_BYTES + 1), bytes });
        return;
      }
      case COMMAND.getTensor:
      case COMMAND.memsetTensor: {
        const [offset, bytes] = [readSize(head, AT + TENSOR_BYTES), readSize(head, AT + TENSOR_BYTES + 8)];
        guard.tensor(head, AT, { offset, bytes });
        return;
      }
      case COMMAND.setTensorHash:
        throw new BadFrame("SET_TENSOR_HASH, which is answered at the head's end");
      case COMMAND.copyTensor:
        guard.tensor(head, AT);
        guard.tensor(head, AT + TENSOR_BYTES);
        return;
      case COMMAND.initTensor:
        guard.tensor(head, AT);
        return;
      case COMMAND.getAllocSize:
        checkAllocSize(head);
        return;
      case COMMAND.graphCompute:
        graph.begin(head.readUInt32LE(AT + 4), readSize(head, 1) - GRAPH_HEAD_BYTES);
        graphMs ??= performance.now();
        return;
      case COMMAND.graphRecompute:
        graphMs ??= performance.now();
        return;
      default:
    }
  }

  function checkAllocSize(head: Buffer): void {
    for (let index = 0; index < ALLOC_SIZE_TENSORS; index++) {
      const tensor = AT + 4 + index * TENSOR_BYTES;
      // No such source.
      if (index > 0 && readSize(head, tensor) === 0) continue;
      // Its buffers may be other machines', and their addresses nobody's here: only shapes are asked about.
      head.fill(0, tensor + TENSOR.buffer, tensor + TENSOR.buffer + 8);
      head.fill(0, tensor + TENSOR.data, tensor + TENSOR.data + 8);
      guard.tensor(head, tensor);
    }
  }

  function inject(head: Buffer): Verdict | Promise<Verdict> {
    const place = placeOfInject(head, weights);
    guard.tensor(head, AT, { offset: 0, bytes: place.bytes });
    if (readsWeights) {
      questions.add({ command: COMMAND.inject, answerBytes: 1, about: 0, graphMs: null });
      return encodeReadWeight(head, place);
    }
    return streamWeight(head, place, weights?.parts[place.part] ?? "", wires).then(() => note(INJECTED));
  }

  const answers: FrameScanner = createFrameScanner({
    prefixBytes: RESPONSE_PREFIX_BYTES,
    measure: (prefix) => ({ payloadBytes: readSize(prefix, 0), headBytes: HELLO_ANSWER_BYTES }),
    begin(head) {
      const question = questions.take();
      const bytes = readSize(head, 0);
      if (bytes !== question.answerBytes)
        throw new BadFrame(`the engine answered ${bytes} bytes instead of ${question.answerBytes}`);
      return heard(question, head);
    },
    emit: (bytes) => wires.toRemote(bytes),
  });

  function heard(question: Question, head: Buffer): Verdict {
    const at = RESPONSE_PREFIX_BYTES;
    switch (question.command) {
      case COMMAND.hello:
        if (head.readUInt8(at) !== RPC_PROTOCOL_MAJOR)
          throw new BadFrame(`RPC protocol ${head.readUInt8(at)}, this is ${RPC_PROTOCOL_MAJOR}`);
        head.fill(0, at + 4);
        return "pass";
      case COMMAND.allocBuffer:
        guard.allocated(readSize(head, at), question.about, readSize(head, at + 8));
        return "pass";
      case COMMAND.bufferGetBase:
        guard.placed(question.about, readSize(head, at));
        return "pass";
      case COMMAND.inject:
        if (head.readUInt8(at) !== 1) throw new Error("rpc-server could not read a weight from this machine's file");
        return noteBytes(INJECTED);
      case COMMAND.getTensor: {
        const nowMs = performance.now();
        // It does one thing after the other: what it was asked while at another was begun when that was done.
        if (question.graphMs !== null) stampWork(head, nowMs - Math.max(question.graphMs, answeredMs));
        answeredMs = nowMs;
        return "pass";
      }
      default:
        return "pass";
    }
  }

  function pong(): "drop" {
    const nowMs = performance.now();
    pings = Math.max(0, pings - (nowMs - pingedMs) / PING_EVERY_MS) + 1;
    pingedMs = nowMs;
    if (pings > PINGS_MAX) throw new BadFrame("a flood of PING");
    return note(PONG);
  }

  /** Says something of our own as soon as no answer is halfway. */
  function note(word: bigint): "drop" {
    if (notes.length >= NOTES_MAX) throw new BadFrame("more questions of its own than can be answered");
    notes.push(noteBytes(word));
    sayNotes();
    return "drop";
  }
  function sayNotes(): void {
    if (notes.length > 0 && answers.atBoundary) wires.toRemote(Buffer.concat(notes.splice(0)));
  }

  return {
    copiesWhatItKeeps: true,
    begin(given) {
      wires = given;
    },
    fromRemote: (chunk) => requests.push(chunk),
    fromLocal(chunk) {
      const work = answers.push(chunk);
      sayNotes();
      return work;
    },
    ended: () => undefined,
  };
}

function aboutOf(command: number, head: Buffer): number {
  if (command === COMMAND.allocBuffer) return readSize(head, AT + 4);
  return command === COMMAND.bufferGetBase ? readSize(head, AT) : 0;
}
