import type { ContentId, ModelId } from "./ids.ts";

/**
 * How tokens are guessed ahead, to be checked together by one walk through the stages: not at all, by a small draft model on the head,
 * from what the text has said already (n-grams), or by layers of the model made for it (multi-token prediction).
 */
export type SpeculationType = "off" | "draft" | "ngram" | "mtp";

/** What may be asked for; `auto` is a draft model where one is named, the model's own layers where it has them and the head has room, else n-grams. */
export type SpeculationWish = "auto" | SpeculationType;
export const SPECULATION_WISHES: readonly SpeculationWish[] = ["auto", "off", "draft", "ngram", "mtp"];

/** A draft model as its deployment knows it. */
export interface PlannedDraft {
  readonly model: ModelId;
  readonly contentId: ContentId;
  /** Its weights, cache and buffers, all on the head. */
  readonly memoryBytes: number;
}

export interface PlannedSpeculation {
  readonly type: SpeculationType;
  readonly draft: PlannedDraft | null;
}

/** How a running deployment speculates. */
export interface SpeculationView {
  readonly type: SpeculationType;
  /** The draft model, where there is one. */
  readonly draft: ModelId | null;
  /** Share of the guessed tokens that turned out right lately, 0 to 1; null while none was guessed. */
  readonly acceptance: number | null;
  /** Whether requests are speculated for: it is switched off while it does not pay, and tried again from time to time. */
  readonly active: boolean;
}

/** A tokenizer's vocabulary, by enough to tell whether a draft model's guesses mean the same to another model. */
export interface Vocabulary {
  /** The tokenizer's kind, as GGUF names it: `gpt2`, `llama`, … */
  readonly kind: string;
  readonly size: number;
  /** Ids of the tokens put before and after every text; null where none is, or the file does not say. */
  readonly beginId: number | null;
  readonly endId: number | null;
  /** Digests of all tokens' texts up to each whole `VOCABULARY_CHUNK_TOKENS`, the last one of all. */
  readonly digests: readonly string[];
}

/** Tokens between two digests of a vocabulary. */
export const VOCABULARY_CHUNK_TOKENS = 4096;
/** Tokens of one vocabulary: the largest have 300,000. */
export const VOCABULARY_TOKENS_MAX: number = 1024 * VOCABULARY_CHUNK_TOKENS;
