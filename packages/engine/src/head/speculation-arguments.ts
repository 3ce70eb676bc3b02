import type { KvType } from "@clusterd/wire";

/** How a head guesses tokens ahead: by a draft model of its own, from what was said already, or with the model's own layers for it. */
export type HeadSpeculation = { readonly type: "off" | "ngram" | "mtp" } | { readonly type: "draft"; readonly modelPath: string };

/** Tokens a draft model guesses at a time: each costs the head a walk through the draft, and saves a walk through all stages. */
export const DRAFT_TOKENS_MAX = 8;
/** Layers for the next tokens are trained for one to three of them; what is beyond is guessed badly. */
export const MTP_TOKENS_MAX = 3;
/** Tokens that must be the same as earlier ones before what followed those is guessed. (docs/bench/speculation.md) */
export const NGRAM_MATCH_TOKENS = 5;
/** Tokens guessed from a match. */
export const NGRAM_DRAFT_TOKENS = 12;

/** Tokens guessed at a time at most. */
export function draftTokensMax(type: HeadSpeculation["type"]): number {
  return { off: 0, ngram: NGRAM_DRAFT_TOKENS, mtp: MTP_TOKENS_MAX, draft: DRAFT_TOKENS_MAX }[type];
}

/** llama-server's flags for speculation. The cache of a draft model has the type of the model's own. */
export function speculationArguments(speculation: HeadSpeculation, kv: KvType): readonly string[] {
  switch (speculation.type) {
    case "off":
      return [];
    case "ngram":
      return [
        ...["--spec-type", "ngram-simple"],
        ...["--spec-ngram-simple-size-n", String(NGRAM_MATCH_TOKENS)],
        ...["--spec-ngram-simple-size-m", String(NGRAM_DRAFT_TOKENS)],
      ];
    case "mtp":
      return ["--spec-type", "draft-mtp", "--spec-draft-n-max", String(MTP_TOKENS_MAX), ...draftCache(kv)];
    case "draft":
      return [
        ...["--spec-type", "draft-simple"],
        ...["-md", speculation.modelPath],
        // On the head's processor: by default the draft would follow the model onto the workers.
        ...["--spec-draft-device", "none", "--spec-draft-ngl", "0"],
        ...["--spec-draft-n-max", String(DRAFT_TOKENS_MAX)],
        ...draftCache(kv),
      ];
    default:
      return speculation satisfies never;
  }
}

const draftCache = (kv: KvType): readonly string[] => ["--spec-draft-type-k", kv, "--spec-draft-type-v", kv];
