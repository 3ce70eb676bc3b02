import { createHash } from "node:crypto";
import { VOCABULARY_CHUNK_TOKENS, type Vocabulary } from "@clusterd/wire";
import { plainText } from "./plain-text.ts";

/** The first tokens, which are marks of the format, may differ between models that speak alike (llama.cpp compares from the sixth on). */
const FIRST_TOKEN = 5;
const DIGEST_LENGTH = 16;
const KIND_LENGTH_MAX = 64;

/** What two models' vocabularies are compared by, from the `tokenizer.ggml` part of a header; null where it has no tokens. */
export function vocabularyOf(ggml: Readonly<Record<string, unknown>>): Vocabulary | null {
  const { tokens, model } = ggml;
  if (!Array.isArray(tokens) || tokens.length === 0) return null;
  const id = (added: string, key: string): number | null => {
    const value = Number(ggml[key]);
    return ggml[added] === true && Number.isSafeInteger(value) && value >= 0 ? value : null;
  };
  return {
    kind: plainText(typeof model === "string" ? model : "unknown", KIND_LENGTH_MAX),
    size: tokens.length,
    beginId: id("add_bos_token", "bos_token_id"),
    endId: id("add_eos_token", "eos_token_id"),
    digests: digestsOf(tokens),
  };
}

function digestsOf(tokens: readonly unknown[]): readonly string[] {
  const digests: string[] = [];
  const hash = createHash("sha256");
  for (let index = FIRST_TOKEN; index < tokens.length; index += 1) {
    if (index > FIRST_TOKEN && index % VOCABULARY_CHUNK_TOKENS === 0)
      digests.push(hash.copy().digest("hex").slice(0, DIGEST_LENGTH));
    const token = String(tokens[index]);
    hash.update(`${token.length}:${token}`);
  }
  return [...digests, hash.digest("hex").slice(0, DIGEST_LENGTH)];
}
