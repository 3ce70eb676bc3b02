import type { HeaderKeys } from "./header-keys.ts";
import type { LayerKind } from "./layer-kinds.ts";

/** Recurrent state is kept in 32-bit floats, whatever the cache's type. */
const STATE_ELEMENT_BYTES = 4;
/** Architectures that also keep the keys of an indexer, one head for all, in the cache's type. */
const INDEXED: ReadonlySet<string> = new Set(["deepseek32", "glm-dsa", "hy_v4", "dots3note", "minimax-m3", "qwen4exp"]);

/** Key and value elements that llama.cpp v0.5.0 caches in a layer for a token (`llama_kv_cache`, flash attention on). */
export function cachedElements(keys: HeaderKeys, kind: LayerKind, layer: number): number {
  if (!kind.hasCache) return 0;
  const heads = keys.perLayer("attention.head_count", layer) ?? 1;
  const kvHeads = keys.perLayer("attention.head_count_kv", layer) ?? heads;
  // The usual length goes by the first layer's heads.
  const headLength = keys.whole("embedding_length") / Math.max(1, keys.perLayer("attention.head_count", 0) ?? 1);
  const length = (key: "key_length" | "value_length"): number =>
    (kind.window === null ? null : keys.optional(`attention.${key}_swa`)) ?? keys.optional(`attention.${key}`) ?? headLength;
  const isLatent = (keys.optional("attention.key_length_mla") ?? 0) > 0 && (keys.optional("attention.value_length_mla") ?? 0) > 0;
  // Latent attention caches one compressed vector with its rotary part, as keys: the values are a view of them.
  const own = isLatent ? kvHeads * length("key_length") : kvHeads * (length("key_length") + length("value_length"));
  return Math.round(own + indexerElements(keys, layer));
}

function indexerElements(keys: HeaderKeys, layer: number): number {
  if (!INDEXED.has(keys.architecture)) return 0;
  if (keys.architecture === "minimax-m3" && layer < (keys.optional("leading_dense_block_count") ?? 0)) return 0;
  return keys.optional("attention.indexer.key_length") ?? 0;
}

/** Bytes of recurrent state of a layer for each slot: what its convolution remembers and its state (`n_embd_r`, `n_embd_s`). */
export function stateBytes(keys: HeaderKeys, kind: LayerKind): number {
  return kind.hasState ? (rollingElements(keys) + stateElements(keys)) * STATE_ELEMENT_BYTES : 0;
}

const TOKEN_SHIFTS = 2;

function rollingElements(keys: HeaderKeys): number {
  const width = keys.whole("embedding_length");
  const conv = keys.optional("ssm.conv_kernel") ?? 0;
  const shortConv = keys.optional("shortconv.l_cache") ?? 0;
  const linearHead = keys.optional("kda.head_dim") ?? 0;
  if (keys.optional("wkv.head_size") !== null) return (keys.optional("token_shift_count") ?? TOKEN_SHIFTS) * width;
  if (shortConv > 0) return width * (shortConv - 1);
  // Queries, keys and values each have a convolution of their own.
  if (linearHead > 0) return 3 * (conv > 0 ? conv - 1 : 3) * headCount(keys) * linearHead;
  const convolved =
    (keys.optional("ssm.inner_size") ?? 0) + 2 * (keys.optional("ssm.group_count") ?? 0) * (keys.optional("ssm.state_size") ?? 0);
  return Math.max(0, conv - 1) * convolved;
}

function stateElements(keys: HeaderKeys): number {
  const width = keys.whole("embedding_length");
  const wkvHead = keys.optional("wkv.head_size");
  if (wkvHead !== null) return width * wkvHead;
  const linearHead = keys.architecture === "minimax-01" ? linearHeadOf(keys, width) : (keys.optional("kda.head_dim") ?? 0);
  if (linearHead > 0) return linearHead * linearHead * headCount(keys);
  return (keys.optional("ssm.state_size") ?? 0) * (keys.optional("ssm.inner_size") ?? 0);
}

const headCount = (keys: HeaderKeys): number => keys.perLayer("attention.head_count", 0) ?? 0;
const linearHeadOf = (keys: HeaderKeys, width: number): number =>
  keys.optional("attention.key_length") ?? width / Math.max(1, headCount(keys));
