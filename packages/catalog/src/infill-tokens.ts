import type { InfillTokens } from "@clusterd/wire";

/** Where a header may name a token, and the words by which the engine finds it otherwise (`llama_vocab` in llama.cpp v0.5.0). */
interface Mark {
  readonly keys: readonly string[];
  readonly words: ReadonlySet<string>;
}

const mark = (keys: readonly string[], ...words: readonly string[]): Mark => ({ keys, words: new Set(words) });

const PREFIX = mark(
  ["fim_pre_token_id", "prefix_token_id"],
  ...["<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>"],
);
const SUFFIX = mark(
  ["fim_suf_token_id", "suffix_token_id"],
  ...["<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>"],
);
const MIDDLE = mark(
  ["fim_mid_token_id", "middle_token_id"],
  ...["<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>"],
);

/** The marks of a text with a gap, from the `tokenizer.ggml` part of a header; null where one of them is missing. `begin`: what stands before every text. */
export function infillTokens(ggml: Readonly<Record<string, unknown>>, begin: number | null): InfillTokens | null {
  const { tokens } = ggml;
  if (!Array.isArray(tokens)) return null;
  const find = ({ keys, words }: Mark): number | null => {
    for (const key of keys) {
      const id = ggml[key] === undefined ? -1 : Number(ggml[key]);
      if (Number.isSafeInteger(id) && id >= 0 && id < tokens.length) return id;
    }
    const at = tokens.findIndex((token) => words.has(String(token)));
    return at < 0 ? null : at;
  };
  const [prefix, suffix, middle] = [find(PREFIX), find(SUFFIX), find(MIDDLE)];
  return prefix === null || suffix === null || middle === null ? null : { prefix, suffix, middle, begin };
}
