import { pick } from "./random.ts";

/** One answer to be had: greedy, so that the same request must bring the same text each time. */
export interface Ask {
  readonly prompt: string;
  readonly tokens: number;
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

const STORY: Ask = { prompt: "Tell me a story.", tokens: 900 };
const TOPICS: readonly string[] = [
  "a cat",
  "the sea",
  "a small boat",
  "an old tree",
  "a red house",
  "rain",
  "a good friend",
  "the moon",
];
const SHORT_TOKENS = 24;
const SEVERAL_TOKENS = 160;
const LONG_PROMPT_WORDS = 400;
const LONG_PROMPT_TOKENS = 120;
const LEAVES_AFTER_MAX = 40;

const BEGINNING = "You know many stories, long ones and short ones, old ones and new ones, and you tell them well. ";

const storyOf = (topic: string): string => `Tell me a story about ${topic}.`;

/** As long as the context allows for, and several of the engine's batches. */
function longPrompt(topic: string): string {
  const words = Array.from({ length: LONG_PROMPT_WORDS }, (_, index) => TOPICS[(index * 3 + topic.length) % TOPICS.length] ?? "");
  return `Here are words: ${words.join(", ").slice(0, LONG_PROMPT_WORDS * 4)}. ${storyOf(topic)}`;
}

const longAsk = (topic: string): Ask => ({ prompt: longPrompt(topic), tokens: LONG_PROMPT_TOKENS });
const shortAsk = (topic: string): Ask => ({ prompt: `What is ${topic}?`, tokens: SHORT_TOKENS });
const storyAsk = (topic: string): Ask => ({ prompt: storyOf(topic), tokens: SEVERAL_TOKENS });
const sharedAsk = (topic: string): Ask => ({ prompt: `${BEGINNING}${storyOf(topic)}`, tokens: SEVERAL_TOKENS });

/** Everything that is ever asked: few requests, so that each comes again often. */
export const allAsks = (): readonly Ask[] => [
  STORY,
  ...[longAsk, shortAsk, storyAsk, sharedAsk].flatMap((ask) => TOPICS.map(ask)),
];

/** What comes next, `slots` streams at once at most. */
export function nextRound(random: () => number, slots: number): Round {
  const kind = pick(random, KINDS);
  const from = Math.floor(random() * TOPICS.length);
  const topics = Array.from({ length: slots }, (_, index) => TOPICS[(from + index) % TOPICS.length] ?? "");
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
