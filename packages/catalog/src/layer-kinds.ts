import { isEncoder } from "./embedding-use.ts";
import type { HeaderKeys } from "./header-keys.ts";

/** What a layer keeps between tokens. */
export interface LayerKind {
  /** Keys and values of its own. */
  readonly hasCache: boolean;
  /** Recurrent state. */
  readonly hasState: boolean;
  /** Tokens its attention looks back at most; null: all. */
  readonly window: number | null;
}

/** Every layer is recurrent (`llm_arch_is_recurrent` in llama.cpp v0.5.0). */
const RECURRENT: ReadonlySet<string> = new Set(["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"]);
/** Recurrent where a layer has no key/value heads. */
const RECURRENT_WITHOUT_HEADS: ReadonlySet<string> = new Set([
  "jamba",
  "plamo2",
  "granitehybrid",
  "lfm2",
  "lfm2moe",
  "kimi-linear",
  "kimi-k3",
  "bailingmoe3",
]);
/** Recurrent but for the last layer of so many, unless a list says otherwise. */
const RECURRENT_BY_INTERVAL: ReadonlyMap<string, number> = new Map([
  ["qwen3next", 4],
  ["qwen35", 4],
  ["qwen35moe", 4],
  ["qwen4exp", 4],
  ["minimax-01", 8],
]);

/** How an architecture's layers take turns, where its header has no list: of `every` layers one sees the whole context. */
interface WindowPattern {
  readonly every: number;
  /** Whether that is the first of them instead of the last. */
  readonly wholeFirst?: boolean;
  /** The window where the header names none. */
  readonly window?: number;
  /** The window whatever the header says, as long as it names one other than 0. */
  readonly fixed?: number;
  /** Only models of so many layers have windows. */
  readonly layers?: number;
}

/** The calls of `load_swa_pattern` in llama.cpp v0.5.0. What is missing here and has no list in its header has no windows. */
const WINDOW_PATTERNS: ReadonlyMap<string, WindowPattern> = new Map<string, WindowPattern>([
  ["afmoe", { every: 4 }],
  ["cohere2", { every: 4 }],
  ["cohere2moe", { every: 4, wholeFirst: true }],
  ["exaone-moe", { every: 4, window: 128 }],
  ["exaone4", { every: 4, window: 4096, layers: 64 }],
  ["gemma-embedding", { every: 6 }],
  ["gemma2", { every: 2, window: 4096 }],
  ["gemma3", { every: 6 }],
  ["gemma3n", { every: 5 }],
  ["gpt-oss", { every: 2 }],
  ["laguna", { every: 4, wholeFirst: true }],
  ["llama4", { every: 4, window: 8192, fixed: 8192 }],
  ["mellum", { every: 4 }],
  ["modern-bert", { every: 3, wholeFirst: true }],
  ["muse-glimmer", { every: 4 }],
  ["olmo2", { every: 4 }],
  ["plamo3", { every: 8 }],
  ["smallthinker", { every: 4, wholeFirst: true, fixed: 4096 }],
]);
/** Their headers list the layers with a window. */
const WINDOWS_LISTED: ReadonlySet<string> = new Set([
  "gemma4",
  "granite_swa",
  "maple",
  "mimo2",
  "spark2_5",
  "step35",
  "dots3note",
]);
/** Layers from here on use the keys and values of earlier ones. */
const GEMMA3N_CACHED_LAYERS = 20;

/** The kind of each layer; those for later tokens, at the end, have attention over the whole context. */
export function layerKinds(keys: HeaderKeys, layerCount: number, nextTokenLayers: number): readonly LayerKind[] {
  const trunk = layerCount - nextTokenLayers;
  const windows = windowsOf(keys, trunk);
  const cached = cachedLayers(keys, layerCount);
  return Array.from({ length: layerCount }, (_, layer) => {
    if (layer >= trunk) return { hasCache: true, hasState: false, window: null };
    const { attention, recurrent } = mixerOf(keys, layer);
    return {
      hasCache: attention && layer < cached && !isEncoder(keys),
      hasState: recurrent,
      window: attention ? (windows[layer] ?? null) : null,
    };
  });
}

function mixerOf(keys: HeaderKeys, layer: number): { readonly attention: boolean; readonly recurrent: boolean } {
  const { architecture } = keys;
  const kvHeads = keys.perLayer("attention.head_count_kv", layer) ?? keys.perLayer("attention.head_count", layer) ?? 0;
  const one = (recurrent: boolean) => ({ attention: !recurrent, recurrent });
  if (RECURRENT.has(architecture)) return one(true);
  if (RECURRENT_WITHOUT_HEADS.has(architecture)) return one(kvHeads === 0);
  if (architecture === "falcon-h1") return { attention: true, recurrent: true };
  if (architecture === "nemotron_h" || architecture === "nemotron_h_moe") {
    // A layer with a feed-forward block has nothing else.
    const mixes = (keys.perLayer("feed_forward_length", layer) ?? 0) === 0;
    return { attention: mixes && kvHeads > 0, recurrent: mixes && kvHeads === 0 };
  }
  const interval = RECURRENT_BY_INTERVAL.get(architecture);
  if (interval === undefined) return one(false);
  const listed = keys.flags("attention.recurrent_layers")?.[layer];
  return one(listed ?? (layer + 1) % Math.max(1, keys.optional("full_attention_interval") ?? interval) !== 0);
}

function windowsOf(keys: HeaderKeys, layerCount: number): readonly (number | null)[] {
  const named = keys.optional("attention.sliding_window");
  const listed = keys.flags("attention.sliding_window_pattern");
  const pattern = WINDOW_PATTERNS.get(keys.architecture);
  const layers = Array.from({ length: layerCount }, (_, layer) => layer);
  if (WINDOWS_LISTED.has(keys.architecture)) return layers.map((layer) => (listed?.[layer] === true ? named : null));
  // Where it has a window, all its attention has.
  if (keys.architecture === "lfm2") return layers.map(() => (named === 0 ? null : named));
  if (pattern === undefined || (pattern.layers !== undefined && pattern.layers !== layerCount)) return layers.map(() => null);
  const window = named === 0 ? 0 : named === null ? pattern.window : (pattern.fixed ?? named);
  if (window === undefined || window === 0) return layers.map(() => null);
  const every = keys.optional("attention.sliding_window_pattern") ?? pattern.every;
  const seesAll = (layer: number): boolean =>
    every !== 0 && (pattern.wholeFirst === true ? layer % every === 0 : layer % every === every - 1);
  return layers.map((layer) => ((listed === null ? seesAll(layer) : listed[layer] !== true) ? null : window));
}

/** How many layers from the first one have keys and values of their own. */
function cachedLayers(keys: HeaderKeys, layerCount: number): number {
  if (keys.architecture === "gemma3n") return GEMMA3N_CACHED_LAYERS;
  if (keys.architecture === "gemma4") return layerCount - (keys.optional("attention.shared_kv_layers") ?? 0);
  return layerCount;
}
