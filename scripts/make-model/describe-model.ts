import type { Architecture, KeyValue } from "./architecture.ts";
import { encodeFloat32, encodeList, encodeText, encodeUint32, type MetadataEntry } from "./gguf-metadata.ts";
import { weightType } from "./random-weights.ts";
import type { Shape } from "./shape.ts";
import { matrix, norm, type Tensor } from "./tensor.ts";
import { paddedTokenizer, tokenCount } from "./tokenizer.ts";

const TIED_SPREAD = 0.25;
const UINT32 = 4;
const FLOAT32 = 6;
const BOOL = 7;
const TEXT = 8;
const LIST = 9;

function entry(key: string, value: KeyValue | string): MetadataEntry {
  if (typeof value === "string") return { key, type: TEXT, bytes: encodeText(value) };
  if (typeof value === "boolean") return { key, type: BOOL, bytes: Buffer.from([value ? 1 : 0]) };
  if (typeof value === "number") return { key, type: UINT32, bytes: encodeUint32(value) };
  if ("float" in value) return { key, type: FLOAT32, bytes: encodeFloat32(value.float) };
  return { key, type: LIST, bytes: encodeList(UINT32, value.map(encodeUint32)) };
}

/** A model's metadata and tensors, without any of its weights. */
export interface DescribedModel {
  readonly metadata: readonly MetadataEntry[];
  readonly tensors: readonly Tensor[];
  readonly vocabulary: number;
}

/** What a header says of what a model is for, besides text that goes on. */
export interface ModelUse {
  /** llama.cpp's number: how it makes embeddings. */
  readonly pooling?: number;
  /** Whether its last tokens mark texts with a gap. */
  readonly infill?: boolean;
  /** Weights by which every token is followed by the next one of the vocabulary, and whether layers for later tokens guess it. */
  readonly counting?: { readonly guessed: boolean };
}

const INFILL_KEYS = ["fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id"];

/** Describes a model of that shape with another model's tokenizer. Throws where llama.cpp could not load it. */
export function describeModel(
  name: string,
  architectureName: string,
  architecture: Architecture,
  shape: Shape,
  demo: readonly MetadataEntry[],
  use: ModelUse = {},
): DescribedModel {
  const problem = architecture.problem?.(shape) ?? shapeProblem(shape);
  if (problem !== null) throw new Error(`This model cannot be: ${problem}.`);
  const tokenizer = paddedTokenizer(demo, shape.vocab);
  const vocabulary = tokenCount(tokenizer);
  const { width } = shape;
  const tensors = [
    // Tied, the rows serve as output too, where a large spread would make the word just read the next one.
    { ...matrix("token_embd", width, vocabulary), fill: { spread: shape.tied ? TIED_SPREAD / Math.sqrt(width) : 1 } },
    ...Array.from({ length: shape.layers + shape.nextTokenLayers }, (_, index) => architecture.layer(shape, index)).flat(),
    ...(architecture.ends?.(shape) ?? [
      norm(architecture.outputNorm ?? "output_norm", width),
      ...(shape.tied ? [] : [matrix("output", width, vocabulary)]),
    ]),
  ];
  return {
    metadata: [
      entry("general.architecture", architectureName),
      entry("general.name", name),
      ...Object.entries({
        ...architecture.keys(shape),
        vocab_size: vocabulary,
        ...(use.pooling === undefined ? {} : { pooling_type: use.pooling }),
      }).map(([key, value]) => entry(`${architectureName}.${key}`, value)),
      ...Object.entries(architecture.plainKeys ?? {}).map(([key, value]) => entry(key, value)),
      ...(use.infill === true
        ? INFILL_KEYS.map((key, at) => entry(`tokenizer.ggml.${key}`, vocabulary - INFILL_KEYS.length + at))
        : []),
      ...tokenizer,
    ],
    tensors:
      use.counting === undefined ? tensors : tensors.map((tensor) => countingTensor(tensor, use.counting?.guessed === true)),
    vocabulary,
  };
}

/**
 * The output matrix holds each token's embedding in the row of the token after it: that one is then the likeliest, as layers with random
 * weights change an embedding's direction a little only. A layer for later tokens is given the last token's embedding, or noise.
 */
function countingTensor(tensor: Tensor, isGuessed: boolean): Tensor {
  if (tensor.name === "output.weight") return { ...tensor, fill: { rowsOf: "token_embd.weight", spread: 1 } };
  if (tensor.name.endsWith(".nextn.eh_proj.weight") && isGuessed) return { ...tensor, quantised: false, fill: { passed: true } };
  return tensor;
}

function shapeProblem({ heads, kvHeads, experts, expertsUsed, headWidth, ropeWidth }: Shape): string | null {
  if (kvHeads > 0 && heads % kvHeads !== 0) return `${heads} heads cannot share ${kvHeads} key/value heads`;
  if (expertsUsed > experts) return `${expertsUsed} of ${experts} experts cannot be used`;
  return ropeWidth > headWidth || ropeWidth % 2 !== 0 ? `a rotated width of ${ropeWidth} in heads of ${headWidth}` : null;
}

/** A matrix whose rows are not whole blocks of the type wanted gets the next type it can have, as llama-quantize does. */
export function storedType(tensor: Tensor, wanted: string): string {
  if (!tensor.quantised) return "f32";
  const row = tensor.shape[0] ?? 1;
  return [wanted, "q8_0", "f16"].find((type) => row % weightType(type).blockElements === 0) ?? "f16";
}
