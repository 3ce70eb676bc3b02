import { ClusterdError, type EmbeddingUse, type Pooling } from "@clusterd/wire";
import type { HeaderKeys } from "./header-keys.ts";

/** Architectures without a cache that make embeddings (`llama_model::create_memory` in llama.cpp v0.5.0). */
const ENCODERS: ReadonlySet<string> = new Set([
  "bert",
  "eurobert",
  "gemma-embedding",
  "jina-bert-v2",
  "jina-bert-v3",
  "modern-bert",
  "neo-bert",
  "nomic-bert",
  "nomic-bert-moe",
]);
/** Decoders by name that are made for nothing else. */
const EMBEDDERS: ReadonlySet<string> = new Set(["llama-embed"]);
/** `llama_pooling_type`: 0 is none, 4 ranks pairs of texts. */
const POOLINGS: readonly (Pooling | null)[] = [null, "mean", "cls", "last"];
const RANK = 4;

/** Whether the engine keeps nothing of a token for those after it. */
export function isEncoder({ architecture }: Pick<HeaderKeys, "architecture">): boolean {
  return ENCODERS.has(architecture);
}

/** How a model makes embeddings; null where it generates text. Throws `unsupported` for one that ranks texts. */
export function embeddingUse(keys: HeaderKeys, path: string): EmbeddingUse | null {
  const named = keys.optional("pooling_type") ?? 0;
  if (named === RANK)
    throw new ClusterdError("unsupported", `${path} ranks pairs of texts; nothing here asks it to.`, {
      next: "Give a model that makes embeddings or generates text.",
    });
  // Without word of it, the mean is what such models are trained for.
  const pooling = POOLINGS[named] ?? (isEncoder(keys) || EMBEDDERS.has(keys.architecture) ? "mean" : null);
  if (pooling === null) return null;
  const seesAhead = keys.truth("attention.causal") === false || EMBEDDERS.has(keys.architecture);
  return { pooling, whole: isEncoder(keys) || seesAhead || pooling !== "last" };
}
