import { amount, count, list, nullable, oneOf, record, text, type Check } from "./check.ts";
import type { ContentId, ModelId } from "./ids.ts";
import {
  VOCABULARY_CHUNK_TOKENS,
  VOCABULARY_TOKENS_MAX,
  type PlannedSpeculation,
  type SpeculationType,
  type Vocabulary,
} from "./speculation.ts";

const NAME_MAX = 256;
const ID_LENGTH_MAX = 128;

/** From 0 to 1: more is taken for 1. */
export const share: Check<number> = (value, path) => Math.min(1, amount(value, path));

export const speculationType: Check<SpeculationType> = oneOf("off", "draft", "ngram", "mtp");

export const plannedSpeculation: Check<PlannedSpeculation> = record({
  type: speculationType,
  draft: nullable(record({ model: text<ModelId>(NAME_MAX), contentId: text<ContentId>(ID_LENGTH_MAX), memoryBytes: amount })),
});

export const vocabulary: Check<Vocabulary> = record({
  kind: text(NAME_MAX),
  size: count(VOCABULARY_TOKENS_MAX),
  beginId: nullable(count()),
  endId: nullable(count()),
  digests: list(text(ID_LENGTH_MAX), VOCABULARY_TOKENS_MAX / VOCABULARY_CHUNK_TOKENS + 1),
});
