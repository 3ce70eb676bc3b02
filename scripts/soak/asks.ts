import { readFileSync } from "node:fs";
import { pick } from "./random.ts";

interface Turn {
  readonly role: "user" | "assistant";
  readonly content: string;
}

/** One greedy answer to be had: the same request must bring the same text each time. */
export interface Ask {
  readonly name: string;
  readonly messages: readonly Turn[];
  readonly tokens: number;
  /**
   * So many letters must be the same each time. Past the answer that it was taught (the end is forbidden, so that streams are long) the demo
   * model often finds two words nearly as likely: which one comes then depends on the size of the engine's batches, with one process as well.
   */
  readonly sureLetters: number;
}

const KINDS = [
  "a long story",
  "a long prompt",
  "short questions",
  "streams at once",
  "a shared beginning",
  "a client leaves",
] as const;

/** What is asked at one time. */
export interface Round {
  readonly kind: (typeof KINDS)[number];
  readonly asks: readonly Ask[];
  /** The first of the clients goes away after so many tokens. */
  readonly leavesAfter?: number;
}

interface Question {
  readonly prompt: string;
  readonly expect: string;
  readonly match: string;
}

const QUESTIONS = JSON.parse(
  readFileSync(new URL("../../models/questions.json", import.meta.url), "utf8"),
) as readonly Question[];
const EXACT = QUESTIONS.filter(({ match }) => match === "exact");
/** Few requests, so that each comes again often. */
const TOPICS: readonly Question[] = EXACT.filter((_, index) => index % 7 === 0).slice(0, 8);
const SHORT_TOKENS = 24;
const SEVERAL_TOKENS = 160;
/** Turns in front of a question: several of the engine's batches together. */
const LONG_TURNS = 18;
const SHARED_TURNS = 6;
const LEAVES_AFTER_MAX = 40;

const STORY: Ask = {
  ...{ name: "story", messages: [{ role: "user", content: "Tell me a story." }], tokens: 900 },
  sureLetters: Number.POSITIVE_INFINITY,
};

const turnsOf = (from: number, count: number): readonly Turn[] =>
  EXACT.slice(from, from + count).flatMap(({ prompt, expect }): Turn[] => [
    { role: "user", content: prompt },
    { role: "assistant", content: expect },
  ]);

const askOf =
  (name: string, tokens: number, before: readonly Turn[]) =>
  ({ prompt, expect }: Question): Ask => ({
    ...{ name: `${name}: ${prompt}`, messages: [...before, { role: "user", content: prompt }], tokens },
    sureLetters: expect.length,
  });

const longAsk = askOf("long", SEVERAL_TOKENS, turnsOf(1, LONG_TURNS));
const shortAsk = askOf("short", SHORT_TOKENS, []);
const storyAsk = askOf("stream", SEVERAL_TOKENS, []);
const sharedAsk = askOf("shared", SEVERAL_TOKENS, turnsOf(20, SHARED_TURNS));

/** Everything that is ever asked. */
export const allAsks = (): readonly Ask[] => [
  STORY,
  ...[longAsk, shortAsk, storyAsk, sharedAsk].flatMap((ask) => TOPICS.map(ask)),
];

/** What comes next, `slots` streams at once at most. */
export function nextRound(random: () => number, slots: number): Round {
  const kind = pick(random, KINDS);
  const from = Math.floor(random() * TOPICS.length);
  const topics = Array.from({ length: slots }, (_, index) => TOPICS[(from + index) % TOPICS.length] as Question);
  switch (kind) {
    case "a long story":
      return { kind, asks: [STORY] };
    case "a long prompt":
      return { kind, asks: topics.slice(0, 1).map(longAsk) };
    case "short questions":
      return { kind, asks: topics.map(shortAsk) };
    case "streams at once":
      return { kind, asks: topics.map(storyAsk) };
    case "a shared beginning":
      return { kind, asks: topics.map(sharedAsk) };
    default:
      return { kind, asks: topics.slice(0, 2).map(storyAsk), leavesAfter: 1 + Math.floor(random() * LEAVES_AFTER_MAX) };
  }
}
