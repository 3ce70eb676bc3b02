import { ClusterdError } from "@clusterd/wire";
import { answerBytesOf, createQuestionQueue, type QuestionQueue } from "./question-queue.ts";
import { shapeOfRequest } from "./command-rules.ts";
import { createFrameScanner, type FrameScanner, type Verdict } from "./frame-scanner.ts";
import { encodeInject } from "./inject-weight.ts";
import {
  BadFrame,
  COMMAND,
  INJECTED,
  PONG,
  readSize,
  REQUEST_PREFIX_BYTES as AT,
  RESPONSE_PREFIX_BYTES,
  RPC_PROTOCOL_MAJOR,
  SET_TENSOR_HEAD_BYTES,
  TENSOR,
  TENSOR_BYTES,
  tensorName,
} from "./protocol.ts";
import { NO_WIRES, type RelayEnd, type RelayWires } from "./relay-end.ts";
import type { StageLoad } from "./stage-load.ts";
import type { StageMeter } from "./stage-meter.ts";
import { unstampWork } from "./work-stamp.ts";

const HELLO_ANSWER_BYTES = 28;
const F32 = 0;
const F16 = 1;
/** What masks of the cache come in multiples of. */
const MASK_CELLS = 256;
const F32_BYTES = 4;

export interface HeadRelayOptions {
  readonly load: StageLoad;
  readonly meter: StageMeter;
  /** Bytes of one token's hidden state: by it a batch's number of tokens is told. */
  readonly hiddenBytes: number;
  /** Bytes of the other end have come; `progress`: more than a sign of life. */
  onHeard(progress: boolean): void;
}

/** The head's end of one connection, and what can be asked of it. */
export interface HeadRelay extends RelayEnd {
  /** Asks the other end for a sign of life, where no frame is halfway. */
  ping(): void;
  /** Whether the engine waits for an answer. */
  readonly waiting: boolean;
}

/**
 * The head's end of one connection: weights that the worker has itself are left to it, and the frames tell how long each stage takes.
 */
export function createHeadRelay({ load, meter, hiddenBytes, onHeard }: HeadRelayOptions): HeadRelay {
  const questions: QuestionQueue = createQuestionQueue();
  let wires: RelayWires = NO_WIRES;
  let begun = false;
  /** A graph was sent whose result has not been asked for. */
  let graphSent = false;

  const requests: FrameScanner = createFrameScanner({
    prefixBytes: AT,
    measure: (prefix) => shapeOfRequest(prefix, false),
    begin(head) {
      const command = head.readUInt8(0);
      if (command === COMMAND.setTensor) return setTensor(head);
      if (command === COMMAND.setTensorHash) return setTensorHash(head);
      meter.sent(AT + readSize(head, 1));
      if (command === COMMAND.graphCompute || command === COMMAND.graphRecompute) {
        if (!graphSent) meter.graph(performance.now());
        graphSent = true;
      }
      const answerBytes = answerBytesOf(head);
      if (answerBytes === null) return "pass";
      const isResult = command === COMMAND.getTensor && graphSent;
      questions.add({ command, answerBytes, about: 0, graphMs: isResult ? 0 : null });
      if (isResult) graphSent = false;
      return "pass";
    },
    emit: (bytes) => wires.toRemote(bytes),
  });

  function setTensor(head: Buffer): Verdict | Promise<Verdict> {
    const bytes = readSize(head, 1) - SET_TENSOR_HEAD_BYTES;
    const offset = readSize(head, AT + TENSOR_BYTES + 1);
    if (!load.isWeight(tensorName(head, AT))) {
      const dimensions = AT + TENSOR.dimensions;
      const [type, width] = [head.readUInt32LE(AT + TENSOR.type), head.readUInt32LE(dimensions)];
      if (type === F32 && width * F32_BYTES === hiddenBytes) meter.hidden(head.readUInt32LE(dimensions + 4));
      if (type === F16 && width % MASK_CELLS === 0) meter.mask(width);
      meter.sent(AT + SET_TENSOR_HEAD_BYTES + bytes);
      return "pass";
    }
    return load.take(tensorName(head, AT), offset, bytes) === "inject" ? leave(encodeInject(head, bytes)) : "pass";
  }

  /** A weight left to the worker, once it has put in enough of those before. */
  function leave(request: Buffer): Verdict | Promise<Verdict> {
    return load.room()?.then(() => request) ?? request;
  }

  /** Whether the worker has a weight of more than 10 MiB: known here, without a journey. */
  function setTensorHash(head: Buffer): Verdict | Promise<Verdict> {
    // A head asks one thing at a time: an answer of our own must not overtake another's.
    if (questions.length > 0) throw new BadFrame("SET_TENSOR_HASH before the last answer");
    const name = tensorName(head, AT);
    const bytes = load.leaves(name) ? load.bytesOf(name) : null;
    const taken = bytes !== null && load.take(name, readSize(head, AT + TENSOR_BYTES), bytes) === "inject";
    const answer = Buffer.alloc(RESPONSE_PREFIX_BYTES + 1);
    answer.writeUInt8(1, 0);
    answer.writeUInt8(taken ? 1 : 0, RESPONSE_PREFIX_BYTES);
    wires.toLocal(answer);
    return taken ? leave(encodeInject(head, bytes)) : "drop";
  }

  const answers: FrameScanner = createFrameScanner({
    prefixBytes: RESPONSE_PREFIX_BYTES,
    measure(prefix) {
      const own = isNote(prefix);
      // The upper bytes of a size are the time it took.
      const payloadBytes = own ? 0 : prefix.readUIntLE(0, 5);
      return { payloadBytes, headBytes: HELLO_ANSWER_BYTES };
    },
    begin(head) {
      if (isNote(head)) return heardNote(head.readBigUInt64LE(0));
      onHeard(true);
      const question = questions.take();
      const workMs = unstampWork(head);
      const bytes = readSize(head, 0);
      if (bytes !== question.answerBytes) throw new BadFrame(`an answer of ${bytes} bytes instead of ${question.answerBytes}`);
      if (question.command === COMMAND.hello && head.readUInt8(RESPONSE_PREFIX_BYTES) !== RPC_PROTOCOL_MAJOR) {
        const version = head.subarray(RESPONSE_PREFIX_BYTES, RESPONSE_PREFIX_BYTES + 3).join(".");
        throw new ClusterdError("protocol_mismatch", `its engine speaks RPC protocol ${version}, ours ${RPC_PROTOCOL_MAJOR}`);
      }
      if (question.graphMs !== null) meter.answered(performance.now(), workMs, RESPONSE_PREFIX_BYTES + bytes);
      return "pass";
    },
    body: () => onHeard(true),
    emit: (bytes) => wires.toLocal(bytes),
  });

  function heardNote(note: bigint): "drop" {
    onHeard(note !== PONG);
    if (note === INJECTED) load.injected();
    else if (note !== PONG) throw new BadFrame("a word that means nothing");
    return "drop";
  }

  return {
    copiesWhatItKeeps: true,
    begin(given) {
      wires = given;
      begun = true;
    },
    fromLocal: (chunk) => requests.push(chunk),
    fromRemote: (chunk) => answers.push(chunk),
    ended() {
      begun = false;
    },
    ping() {
      if (begun && requests.atBoundary) wires.toRemote(PING);
    },
    get waiting() {
      return questions.length > 0;
    },
  };
}

const PING: Buffer = Buffer.from([COMMAND.ping, 0, 0, 0, 0, 0, 0, 0, 0]);
const isNote = (prefix: Buffer): boolean => prefix.readUInt32LE(4) === 0xffff_ffff;
