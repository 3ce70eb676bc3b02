import { ClusterdError } from "@clusterd/wire";
import { answerBytesOf, createQuestionQueue, type Question, type QuestionQueue } from "./question-queue.ts";
import { shapeOfRequest } from "./command-rules.ts";
import type { BoardConnection, CopyBoard } from "./copy-board.ts";
import type { Sight } from "./copy-lessons.ts";
import { createFramePacker } from "./frame-packing.ts";
import { createFrameRest } from "./frame-rest.ts";
import { createFrameScanner, type FrameScanner, type Verdict } from "./frame-scanner.ts";
import { createHeldStream } from "./held-stream.ts";
import { encodeInject } from "./inject-weight.ts";
import { isPadding, MARK_BYTES, type PromisedCopy } from "./promised-copy.ts";
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
import { sendPacked } from "./send-packed.ts";
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
  /** Whether the other end unpacks frames, in the way of `PACKING_VERSION`; absent: it does not. */
  readonly packs?: boolean;
  /** What passes between this stage and the head's others; absent: each result goes by way of the head's engine. */
  readonly copies?: { readonly board: CopyBoard; readonly stage: number };
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

/** What becomes of the answer: it fills a placeholder, or goes to the engine, looked at or not. */
type Ask = Question & { readonly promise: PromisedCopy | null; readonly sight: Sight | null };

/**
 * The head's end of one connection: weights that the worker has itself are left to it, results go from stage to stage where the head
 * only passes them on, and the frames tell how long each stage takes.
 */
export function createHeadRelay({ load, meter, hiddenBytes, packs, copies, onHeard }: HeadRelayOptions): HeadRelay {
  const questions: QuestionQueue<Ask> = createQuestionQueue<Ask>();
  let wires: RelayWires = NO_WIRES;
  let begun = false;
  let board: BoardConnection | null = null;
  /** Towards the worker; it stands still where a result is due that another stage still works on. */
  const out = createHeldStream((bytes) => wires.toRemote(bytes));
  /** Answers that the engine waits for, placeholders not counted. */
  let owed = 0;
  const packer = packs === true ? createFramePacker() : null;
  const setRest = createFrameRest();
  const answerRest = createFrameRest();
  /** A graph was sent whose result has not been asked for. */
  let graphSent = false;

  const requests: FrameScanner = createFrameScanner({
    prefixBytes: AT,
    measure(prefix) {
      const shape = shapeOfRequest(prefix, false);
      if (prefix.readUInt8(0) !== COMMAND.setTensor) return shape;
      return { ...shape, headBytes: shape.headBytes + MARK_BYTES };
    },
    begin(head) {
      const command = head.readUInt8(0);
      if (command === COMMAND.setTensor) return setTensor(head);
      if (command === COMMAND.setTensorHash) return setTensorHash(head);
      const isGraph = command === COMMAND.graphCompute || command === COMMAND.graphRecompute;
      if (isGraph) board?.graph();
      const answerBytes = answerBytesOf(head);
      const asked = answerBytes === null ? null : ask(command, head, answerBytes);
      return sendPacked(head, { packer, rest: setRest, out }, (bytes) => {
        meter.sent(bytes);
        if (isGraph && !graphSent) meter.graph(performance.now());
        else if (isGraph) meter.anotherGraph(performance.now());
        if (isGraph) graphSent = true;
        if (asked === null) return;
        const isResult = command === COMMAND.getTensor && graphSent;
        questions.add({ ...asked, graphMs: isResult ? 0 : null });
        if (isResult) graphSent = false;
      });
    },
    body: (bytes) => setRest.next(bytes),
    dropped: (bytes) => setRest.next(bytes),
    emit: (bytes) => out.write(bytes),
  });

  /** A question to the worker. The engine has a placeholder at once where the answer is only to be passed on. */
  function ask(command: number, head: Buffer, answerBytes: number): Omit<Ask, "graphMs"> {
    const question = { command, answerBytes, about: 0 };
    if (board !== null && command === COMMAND.getTensor) {
      const asked = board.ask(
        {
          name: tensorName(head, AT),
          type: head.readUInt32LE(AT + TENSOR.type),
          width: head.readUInt32LE(AT + TENSOR.dimensions),
          offset: readSize(head, AT + TENSOR_BYTES),
          bytes: answerBytes,
        },
        owed === 0,
        (bytes) => wires.toLocal(bytes),
      );
      if (!("sight" in asked)) return { ...question, promise: asked, sight: null };
      owed += 1;
      return { ...question, promise: null, sight: asked.sight };
    }
    owed += 1;
    return { ...question, promise: null, sight: null };
  }

  function setTensor(head: Buffer): Verdict | Promise<Verdict> {
    const bytes = readSize(head, 1) - SET_TENSOR_HEAD_BYTES;
    const offset = readSize(head, AT + TENSOR_BYTES + 1);
    const name = tensorName(head, AT);
    if (!load.isWeight(name)) {
      const dimensions = AT + TENSOR.dimensions;
      const [type, width] = [head.readUInt32LE(AT + TENSOR.type), head.readUInt32LE(dimensions)];
      const tokens = head.readUInt32LE(dimensions + 4);
      out.mark(() => {
        if (type === F32 && width * F32_BYTES === hiddenBytes) meter.hidden(tokens);
        if (type === F16 && width % MASK_CELLS === 0) meter.mask(width);
        meter.sent(AT + SET_TENSOR_HEAD_BYTES + bytes);
      });
      const first = head.subarray(AT + SET_TENSOR_HEAD_BYTES);
      const known = board?.set({ name, offset, bytes, first }) ?? null;
      if (board === null || known === null) return "pass";
      if ("mark" in known) return putIn(board, known, Buffer.from(head.subarray(0, AT + SET_TENSOR_HEAD_BYTES)));
      setRest.begin(bytes, first, known.see, known.end);
      return "pass";
    }
    return load.take(name, offset, bytes) === "inject" ? leave(encodeInject(head, bytes)) : "pass";
  }

  /** A result in place of its placeholder, once it is there; what follows waits. */
  function putIn(between: BoardConnection, promise: PromisedCopy, frame: Buffer): Verdict {
    const check = (bytes: Buffer): void => {
      if (!isPadding(bytes)) throw between.changed();
    };
    setRest.begin(promise.bytes - MARK_BYTES, Buffer.alloc(0), check, () => undefined);
    return () => {
      const fill = out.gap();
      promise.whenFilled((data) => {
        fill([frame, data]);
        between.passed(promise);
      });
    };
  }

  /** A weight left to the worker, once it has put in enough of those before. */
  function leave(inject: Buffer): Verdict | Promise<Verdict> {
    const request = packer?.pack(inject) ?? inject;
    return load.room()?.then(() => request) ?? request;
  }

  /** Whether the worker has a weight of more than 10 MiB: known here, without a journey. */
  function setTensorHash(head: Buffer): Verdict | Promise<Verdict> {
    // A head asks one thing at a time: an answer of our own must not overtake another's.
    if (questions.length > 0 || out.held) throw new BadFrame("SET_TENSOR_HASH before the last answer");
    const name = tensorName(head, AT);
    // An engine with our patch hashes nothing, and says 0.
    const hash = head.readBigUInt64LE(AT + TENSOR_BYTES + 8);
    const bytes = load.leaves(name, hash === 0n ? null : hash.toString(16).padStart(16, "0")) ? load.bytesOf(name) : null;
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
      const { promise, sight } = question;
      const first = head.subarray(RESPONSE_PREFIX_BYTES);
      if (promise !== null) {
        answerRest.begin(
          bytes,
          first,
          (piece) => promise.fill(piece),
          () => undefined,
        );
        return "drop";
      }
      answerRest.begin(bytes, first, sight?.see, () => {
        sight?.end();
        owed -= 1;
      });
      const settled = board !== null && question.command === COMMAND.getTensor ? board.answered() : null;
      if (settled === null) return "pass";
      // Until then it has not been answered: no placeholder may overtake it.
      owed += 1;
      return settled.then(() => {
        owed -= 1;
        return "pass";
      });
    },
    body: answerBody,
    dropped: answerBody,
    emit: (bytes) => wires.toLocal(bytes),
  });

  function answerBody(bytes: Buffer): void {
    onHeard(true);
    answerRest.next(bytes);
  }

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
      board = copies?.board.connection(copies.stage, (error) => given.fail(error)) ?? null;
    },
    fromLocal(chunk) {
      const work = requests.push(chunk);
      return work === undefined ? (out.room() ?? undefined) : work.then(() => out.room() ?? undefined);
    },
    fromRemote: (chunk) => answers.push(chunk),
    ended() {
      begun = false;
      board?.ended();
    },
    ping() {
      // Before a gap there are whole frames only.
      if (begun && (out.held || requests.atBoundary)) wires.toRemote(PING);
    },
    get waiting() {
      return questions.length > 0;
    },
  };
}

const PING: Buffer = Buffer.from([COMMAND.ping, 0, 0, 0, 0, 0, 0, 0, 0]);
const isNote = (prefix: Buffer): boolean => prefix.readUInt32LE(4) === 0xffff_ffff;
