import type { ModelShape } from "./model-shape.ts";

/** A tensor as a GGUF names it, rows first: `dimensions[0]` is the length of a row. */
export interface ShapedTensor {
  readonly name: string;
  readonly dimensions: readonly number[];
}

/** What a layer is made of. */
export interface LayerParts {
  readonly mixer: "attention" | "recurrent" | null;
  readonly feedForward: "dense" | "experts" | null;
}

/** The parts of a layer, by the pattern of the model's blocks and where its experts begin. */
export function layerParts(shape: ModelShape, layer: number): LayerParts {
  const hasExperts = shape.experts !== null && layer >= shape.dense && (layer + 1) % shape.every === 0;
  const feedForward = hasExperts ? "experts" : "dense";
  // Layers for later tokens are built like the last ones, with attention.
  if (layer >= shape.layers) return { mixer: "attention", feedForward };
  switch (shape.blocks[layer % shape.blocks.length]) {
    case "R":
      return { mixer: "recurrent", feedForward };
    case "M":
      return { mixer: "recurrent", feedForward: null };
    case "*":
      return { mixer: "attention", feedForward: null };
    case "-":
      return { mixer: null, feedForward: "dense" };
    case "E":
      return { mixer: null, feedForward: "experts" };
    default:
      return { mixer: "attention", feedForward };
  }
}

/** A shape's tensors are the same in every quantisation. */
const MADE: WeakMap<ModelShape, readonly ShapedTensor[]> = new WeakMap();

/**
 * The tensors that llama.cpp's converter makes of a model, in its order: layer after layer, as the quantiser goes through them. Biases
 * and the norms within a head are left out: together below 0.3 % of any model here.
 */
export function shapeTensors(shape: ModelShape, architecture: string): readonly ShapedTensor[] {
  const made = MADE.get(shape) ?? makeTensors(shape, architecture);
  MADE.set(shape, made);
  return made;
}

function makeTensors(shape: ModelShape, architecture: string): readonly ShapedTensor[] {
  const { hidden, vocabulary } = shape;
  const tensors: ShapedTensor[] = [{ name: "token_embd.weight", dimensions: [hidden, vocabulary] }];
  for (let layer = 0; layer < shape.layers + shape.next; layer++) {
    const parts = layerParts(shape, layer);
    const own = [
      ["attn_norm", [hidden]] as const,
      ...(parts.mixer === "attention" ? (shape.latent === null ? attention(shape) : latentAttention(shape, shape.latent)) : []),
      ...(parts.mixer === "recurrent" ? recurrent(shape, architecture) : []),
      ...(parts.mixer !== null && parts.feedForward !== null ? [["ffn_norm", [hidden]] as const] : []),
      ...(parts.feedForward === "dense" ? dense(shape) : []),
      ...(parts.feedForward === "experts" ? mixture(shape) : []),
      ...(layer >= shape.layers ? nextToken(shape) : []),
    ];
    for (const [name, dimensions] of own) tensors.push({ name: `blk.${layer}.${name}.weight`, dimensions });
  }
  tensors.push({ name: "output_norm.weight", dimensions: [hidden] });
  if (!shape.tied) tensors.push({ name: "output.weight", dimensions: [hidden, vocabulary] });
  return tensors;
}

type Named = readonly [name: string, dimensions: readonly number[]];

function attention({ hidden, heads, fused, gatedAttention }: ModelShape): Named[] {
  const query = heads.query * heads.length;
  const keyValue = heads.keyValue * heads.length;
  const inputs: Named[] = fused
    ? [["attn_qkv", [hidden, query + 2 * keyValue]]]
    : [
        ["attn_q", [hidden, gatedAttention ? 2 * query : query]],
        ["attn_k", [hidden, keyValue]],
        ["attn_v", [hidden, keyValue]],
      ];
  return [...inputs, ["attn_output", [query, hidden]]];
}

/** As llama.cpp stores it since it caches the compressed vector: `kv_b` split into a part for keys and one for values. */
function latentAttention({ hidden, heads }: ModelShape, latent: NonNullable<ModelShape["latent"]>): Named[] {
  const { queryRank, keyValueRank, plain, rotary, value } = latent;
  const query = heads.query * (plain + rotary);
  const queries: Named[] =
    queryRank === 0
      ? [["attn_q", [hidden, query]]]
      : [
          ["attn_q_a", [hidden, queryRank]],
          ["attn_q_b", [queryRank, query]],
        ];
  return [
    ...queries,
    ["attn_kv_a_mqa", [hidden, keyValueRank + rotary]],
    ["attn_k_b", [plain, keyValueRank, heads.query]],
    ["attn_v_b", [keyValueRank, value, heads.query]],
    ["attn_output", [heads.query * value, hidden]],
  ];
}

function recurrent({ hidden, recurrent: state }: ModelShape, architecture: string): Named[] {
  if (state === null) return [];
  const grouped = 2 * state.groups * state.state;
  const convolved = state.inner + grouped;
  const output: Named = ["ssm_out", [state.inner, hidden]];
  // Gated delta nets keep one matrix for what is convolved and one for the gate; Mamba 2 one for both and the step lengths.
  if (architecture === "qwen3next")
    return [
      ["attn_qkv", [hidden, convolved]],
      ["attn_gate", [hidden, state.inner]],
      ["ssm_conv1d", [state.convolution, convolved]],
      ["ssm_ba", [hidden, 2 * state.heads]],
      output,
    ];
  return [
    ["ssm_in", [hidden, 2 * state.inner + grouped + state.heads]],
    ["ssm_conv1d", [state.convolution, convolved]],
    ["ssm_norm", [state.inner / state.groups, state.groups]],
    output,
  ];
}

function dense({ hidden, ffn, plain, gatedUp }: ModelShape): Named[] {
  if (gatedUp)
    return [
      ["ffn_up", [hidden, 2 * ffn]],
      ["ffn_down", [ffn, hidden]],
    ];
  const gate: Named[] = plain ? [] : [["ffn_gate", [hidden, ffn]]];
  return [...gate, ["ffn_up", [hidden, ffn]], ["ffn_down", [ffn, hidden]]];
}

function mixture({ hidden, experts, shared, plain }: ModelShape): Named[] {
  if (experts === null) return [];
  const { total, width } = experts;
  const gate: Named[] = plain ? [] : [["ffn_gate_exps", [hidden, width, total]]];
  const sharedGate: Named[] = plain ? [] : [["ffn_gate_shexp", [hidden, shared]]];
  const sharedParts: Named[] =
    shared === 0 ? [] : [...sharedGate, ["ffn_up_shexp", [hidden, shared]], ["ffn_down_shexp", [shared, hidden]]];
  return [
    ["ffn_gate_inp", [hidden, total]],
    ...gate,
    ["ffn_up_exps", [hidden, width, total]],
    ["ffn_down_exps", [width, hidden, total]],
    ...sharedParts,
  ];
}

function nextToken({ hidden, vocabulary }: ModelShape): Named[] {
  return [
    ["nextn.eh_proj", [2 * hidden, hidden]],
    ["nextn.embed_tokens", [hidden, vocabulary]],
    ["nextn.shared_head_head", [hidden, vocabulary]],
  ];
}
