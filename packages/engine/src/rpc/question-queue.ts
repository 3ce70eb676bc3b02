import { COMMAND_RULES } from "./command-rules.ts";
import { BadFrame, readSize, REQUEST_PREFIX_BYTES, TENSOR_BYTES } from "./protocol.ts";

/** An engine answers in the order it is asked, and a head asks one at a time: more than a few open ones are no head's. */
const QUESTIONS_MAX = 65_536;
const KEPT_MAX = 1024;

/** A request that will be answered. */
export interface Question {
  readonly command: number;
  /** Bytes the answer must have. */
  readonly answerBytes: number;
  /** What the answer is about: a buffer's handle, an allocation's size. */
  readonly about: number;
  /** When the graph was passed on whose result it asks for, ms of a monotonic clock; null where it asks for none. */
  readonly graphMs: number | null;
}

/** First in, first out. */
export interface QuestionQueue<Kind extends Question = Question> {
  add(question: Kind): void;
  take(): Kind;
  readonly length: number;
}

export function createQuestionQueue<Kind extends Question = Question>(): QuestionQueue<Kind> {
  let queue: Kind[] = [];
  let first = 0;
  return {
    add(question) {
      if (queue.length - first >= QUESTIONS_MAX) throw new BadFrame(`more than ${QUESTIONS_MAX} open questions`);
      queue.push(question);
    },
    take() {
      const question = queue[first];
      if (question === undefined) throw new BadFrame("an answer that nobody asked for");
      first += 1;
      if (first === queue.length || first > KEPT_MAX) {
        queue = queue.slice(first);
        first = 0;
      }
      return question;
    },
    get length() {
      return queue.length - first;
    },
  };
}

/** Bytes of the answer to the request that begins so; null where it gets none. */
export function answerBytesOf(head: Buffer): number | null {
  const { answer } = COMMAND_RULES.get(head.readUInt8(0)) ?? { answer: "none" };
  if (answer === "none") return null;
  return answer === "asked" ? readSize(head, REQUEST_PREFIX_BYTES + TENSOR_BYTES + 8) : answer;
}
