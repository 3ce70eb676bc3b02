import { createCopyBoard, type CopyBoard, type CopyBoardOptions } from "../copy-board.ts";
import { createHeadRelay, type HeadRelay } from "../head-relay.ts";
import { COMMAND, readSize, REQUEST_PREFIX_BYTES as AT, SET_TENSOR_HEAD_BYTES, TENSOR_BYTES, tensorName } from "../protocol.ts";
import { createStageLoad } from "../stage-load.ts";
import { createStageMeter, type StageMeter } from "../stage-meter.ts";
import { answer, getTensor, recompute, setTensor } from "./frames.ts";
import { tap, type Tapped } from "./wires.ts";

export const ROW_BYTES = 64;
const IN = { buffer: 0x10, data: 0x1000, dimensions: [ROW_BYTES / 4, 1, 1, 1] } as const;

/** What a stage's input is called, and its result. */
export const inputName = (stage: number): string => `RPC${stage}[127.0.0.1:1]#l_out-${stage - 1}#0`;
export const resultName = (stage: number): string => `l_out-${stage}`;
export const setInput = (stage: number, data: Buffer): Buffer => setTensor({ ...IN, name: inputName(stage) }, data);
export const askResult = (stage: number, bytes: number = ROW_BYTES): Buffer =>
  getTensor({ ...IN, name: resultName(stage) }, bytes);

/** What a stage makes of its input: different for each, and for each input. */
export const compute = (stage: number, data: Buffer): Buffer => Buffer.from(data.map((byte, at) => byte * 3 + stage + at + 1));

export interface RowStage {
  readonly relay: HeadRelay;
  readonly out: Tapped;
  readonly meter: StageMeter;
  /** Frames that the worker has, and has not worked on. */
  readonly inbox: Buffer[];
  /** Works on the next of them; false where there is none. */
  work(): boolean;
  /** What the engine has been answered and has not taken. */
  answers: Buffer;
}

/** A head's relays to some stages, with workers behind them that compute when they are told to. */
export function stageRow(
  count: number,
  options: CopyBoardOptions | null = {},
): { readonly board: CopyBoard | null; readonly stages: readonly RowStage[] } {
  const board = options === null ? null : createCopyBoard(options);
  return { board, stages: Array.from({ length: count }, (_, index) => rowStage(board, index)) };
}

function rowStage(board: CopyBoard | null, index: number): RowStage {
  const load = createStageLoad({ weights: new Map(), layers: [], local: new Set(), missing: new Set() });
  const meter = createStageMeter(1);
  const copies = board === null ? {} : { copies: { board, stage: board.addStage() } };
  const relay = createHeadRelay({ load, meter, hiddenBytes: ROW_BYTES, onHeard: () => undefined, ...copies });
  const out = tap(relay);
  let stream: Buffer = Buffer.alloc(0);
  let [input, result]: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)];
  const inbox: Buffer[] = [];

  function receive(): void {
    stream = Buffer.concat([stream, out.remote()]);
    for (;;) {
      const size = stream.length < AT ? Infinity : AT + readSize(stream, 1);
      if (stream.length < size) return;
      if (stream.readUInt8(0) !== COMMAND.ping) inbox.push(stream.subarray(0, size));
      stream = stream.subarray(size);
    }
  }
  const stage: RowStage = {
    ...{ relay, out, meter },
    answers: Buffer.alloc(0),
    get inbox() {
      receive();
      return inbox;
    },
    work() {
      receive();
      const frame = inbox.shift();
      if (frame === undefined) return false;
      const command = frame.readUInt8(0);
      if (command === COMMAND.setTensor && tensorName(frame, AT) === inputName(index))
        input = frame.subarray(AT + SET_TENSOR_HEAD_BYTES);
      if (command === COMMAND.graphRecompute) result = compute(index, input);
      if (command === COMMAND.getTensor) {
        const bytes = readSize(frame, AT + TENSOR_BYTES + 8);
        void relay.fromRemote(answer(Buffer.concat([result, Buffer.alloc(bytes)]).subarray(0, bytes)));
      }
      return true;
    },
  };
  return stage;
}

/** The next answer of so many bytes that the engine got from a stage; null before it is whole. */
export function takeAnswer(stage: RowStage, bytes: number = ROW_BYTES): Buffer | null {
  stage.answers = Buffer.concat([stage.answers, stage.out.local()]);
  if (stage.answers.length < 8 + bytes) return null;
  const taken = stage.answers.subarray(8, 8 + bytes);
  if (readSize(stage.answers, 0) !== bytes) throw new Error("an answer of another size");
  stage.answers = stage.answers.subarray(8 + bytes);
  return taken;
}

/** Bytes for a stage, or so many that are waited for. */
export type HeadMove = { readonly to: number; readonly send: Buffer } | { readonly from: number; readonly awaits: number };

/**
 * A head's engine: what it sends, piece by piece, and where it waits for an answer. Each batch goes through all stages; the results
 * of the last one are returned. A batch that is not `asked` for its result leaves it where it is.
 */
export function* headProgram(
  stages: readonly RowStage[],
  batches: readonly { readonly data: Buffer; readonly asked: boolean }[],
  results: Buffer[],
): Generator<HeadMove, void, Buffer | undefined> {
  for (const { data, asked } of batches) {
    let hidden = data;
    for (let index = 0; index < stages.length; index += 1) {
      yield { to: index, send: Buffer.concat([setInput(index, hidden), recompute()]) };
      if (index === stages.length - 1 && !asked) continue;
      yield { to: index, send: askResult(index, data.length) };
      hidden = Buffer.from((yield { from: index, awaits: data.length }) ?? Buffer.alloc(0));
    }
    if (asked) results.push(hidden);
  }
}

/** Lets the head's engine run with workers that do everything at once: so many batches, each asked for its result. */
export function runBatches(stages: readonly RowStage[], count: number): readonly Buffer[] {
  const results: Buffer[] = [];
  const batches = Array.from({ length: count }, (_, index) => ({ data: Buffer.alloc(ROW_BYTES, index + 1), asked: true }));
  const program = headProgram(stages, batches, results);
  let given: Buffer | undefined;
  for (;;) {
    const { value, done } = program.next(given);
    given = undefined;
    if (done === true) return results;
    if ("send" in value) void stages[value.to]?.relay.fromLocal(Buffer.from(value.send));
    for (let busy = true; busy;) busy = stages.map((stage) => stage.work()).includes(true);
    if ("awaits" in value) given = takeAnswer(stages[value.from] as RowStage) ?? undefined;
  }
}

/** What all stages together make of it. */
export const computeAll = (stages: number, data: Buffer): Buffer =>
  Array.from({ length: stages }).reduce<Buffer>((hidden, _, index) => compute(index, hidden), data);
