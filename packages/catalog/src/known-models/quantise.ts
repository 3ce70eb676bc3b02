import { TENSOR_TYPES } from "../tensor-types.ts";
import { layerParts, type ShapedTensor } from "./shape-tensors.ts";
import type { KnownModel } from "./model-shape.ts";

/** A tensor and the type a file of a given quantisation has it in, as its number in a GGUF. */
export interface QuantisedTensor extends ShapedTensor {
  readonly type: number;
  readonly bytes: number;
}

/** Most precise first, with the type that most of a file is in. */
const BASE_TYPES = {
  BF16: "BF16",
  Q8_0: "Q8_0",
  Q6_K: "Q6_K",
  Q5_K_M: "Q5_K",
  Q4_K_M: "Q4_K",
  IQ4_XS: "IQ4_XS",
  MXFP4: "MXFP4",
  Q3_K_M: "Q3_K",
  IQ3_XXS: "IQ3_XXS",
  Q2_K: "Q2_K",
  IQ2_XXS: "IQ2_XXS",
} as const;
export type Quantisation = keyof typeof BASE_TYPES;

export const DEFAULT_QUANTISATION: Quantisation = "Q4_K_M";
/** Below four bits small models lose too much to be of use. Parameters. */
const LOW_BITS_MIN = 8e9;
const TWO_BITS_MIN = 20e9;
/** Elements of a block of the types for few bits: rows that are no whole blocks fall back to types of four bits, and nothing is saved. */
const BLOCK_ELEMENTS = 256;

/** The quantisations a model is usually found in, most precise first. */
export function quantisationsOf(model: KnownModel): readonly Quantisation[] {
  const all = Object.keys(BASE_TYPES) as Quantisation[];
  if (model.only !== null) return all.filter((name) => name === model.only);
  const isWhole = model.shape.hidden % BLOCK_ELEMENTS === 0;
  return all.filter((name) => {
    if (name === "MXFP4") return false;
    if (name === "IQ2_XXS" || name === "Q2_K") return isWhole && model.parameters >= TWO_BITS_MIN;
    if (name === "IQ3_XXS" || name === "Q3_K_M") return isWhole && model.parameters >= LOW_BITS_MIN;
    return true;
  });
}

const NUMBERS: ReadonlyMap<string, number> = new Map([...TENSOR_TYPES].map(([number, { name }]) => [name, number]));

/** Types of a few small tensors may be smaller than what most of a file is in. */
const LEAST_SHARE = 0.95;

/** A file's bytes at least, without going through its tensors. */
export function leastBytes(model: KnownModel, quantisation: Quantisation): number {
  const layout = TENSOR_TYPES.get(NUMBERS.get(BASE_TYPES[quantisation]) ?? 0);
  return layout === undefined ? 0 : model.parameters * (layout.blockBytes / layout.blockElements) * LEAST_SHARE;
}

/** Every tensor's type and size, as llama.cpp v0.5.0's quantiser mixes them (the rules of its `llama-quant.cpp`). */
export function quantise(
  tensors: readonly ShapedTensor[],
  model: KnownModel,
  quantisation: Quantisation,
): readonly QuantisedTensor[] {
  let valuesSeen = 0;
  const facts = {
    experts: model.shape.experts?.total ?? 0,
    architecture: model.architecture,
    tied: model.shape.tied,
    groupSize: groupSize(model),
    layerCount: model.shape.layers + model.shape.next,
    // What the quantiser calls a 70B: eighty layers that share their keys and values among several heads.
    isSeventy: model.shape.layers === 80 && (model.architecture === "llama" || model.architecture === "qwen2"),
    valueCount: tensors.reduce((count, { name }) => count + Number(isValue(name)), 0),
  };
  return tensors.map((tensor) => {
    const valueIndex = isValue(tensor.name) ? valuesSeen++ : 0;
    const type = NUMBERS.get(typeOf(tensor, quantisation, facts, valueIndex)) ?? 0;
    const layout = TENSOR_TYPES.get(type);
    let elements = 1;
    for (const length of tensor.dimensions) elements *= length;
    const bytes = (elements / (layout?.blockElements ?? 1)) * (layout?.blockBytes ?? 4);
    return { name: tensor.name, dimensions: tensor.dimensions, type, bytes };
  });
}

/** Query heads for each key/value head, of the first layer as the quantiser looks at it; 0 where that has no attention. */
function groupSize({ shape, architecture }: KnownModel): number {
  if (architecture === "deepseek2") return shape.heads.query;
  if (layerParts(shape, 0).mixer !== "attention")
    return architecture === "qwen3next" ? shape.heads.query / shape.heads.keyValue : 0;
  return shape.heads.query / shape.heads.keyValue;
}

interface Facts {
  readonly experts: number;
  readonly architecture: string;
  readonly tied: boolean;
  readonly groupSize: number;
  readonly layerCount: number;
  readonly isSeventy: boolean;
  readonly valueCount: number;
}

/** Tensors whose errors are felt most: values, and what has the values in it. */
const isValue = (name: string): boolean => name.endsWith("attn_v.weight") || name.endsWith("attn_qkv.weight");

function typeOf(tensor: ShapedTensor, quantisation: Quantisation, facts: Facts, valueIndex: number): string {
  const { name, dimensions } = tensor;
  const kept = dimensions.length < 2 || name.includes("_norm.") || name.includes("ffn_gate_inp") || name.includes("ssm_conv1d");
  if (kept) return "F32";
  const base = BASE_TYPES[quantisation];
  if (base === "BF16") return base;
  return fitting(mixed(tensor, quantisation, base, facts, valueIndex), dimensions[0] ?? 1);
}

/** The first and last eighth of the layers, and every third between. */
function wantsMore(layer: number, count: number): boolean {
  const eighth = Math.floor(count / 8);
  return layer < eighth || layer >= Math.floor((7 * count) / 8) || (layer - eighth) % 3 === 2;
}

const layerOf = (name: string): number => Number(name.split(".", 2)[1]);

function mixed(
  { name, dimensions }: ShapedTensor,
  quantisation: Quantisation,
  base: string,
  facts: Facts,
  valueIndex: number,
): string {
  if (name === "output.weight" || (facts.tied && name === "token_embd.weight"))
    return outputType(quantisation, base, dimensions[0] ?? 1);
  if (quantisation === "MXFP4") return dimensions.length > 2 ? "MXFP4" : "Q8_0";
  if (name === "token_embd.weight") return { IQ3_XXS: "IQ3_S", IQ2_XXS: "Q2_K" }[quantisation as string] ?? base;
  if (isValue(name)) return valueType(quantisation, base, facts, valueIndex);
  if (name.endsWith("attn_k.weight"))
    return facts.experts === 8 ? (quantisation === "IQ2_XXS" ? "Q4_K" : "Q8_0") : quantisation === "IQ3_XXS" ? "IQ2_S" : base;
  if (name.endsWith("attn_q.weight")) return quantisation === "IQ3_XXS" ? "IQ2_S" : base;
  if (name.includes("ffn_down")) return downType(layerOf(name), quantisation, base, facts);
  if (name.endsWith("attn_output.weight")) return attentionOutputType(quantisation, base, facts);
  return base;
}

function outputType(quantisation: Quantisation, base: string, row: number): string {
  if (quantisation === "MXFP4" || row % (TENSOR_TYPES.get(NUMBERS.get(base) ?? 0)?.blockElements ?? 1) !== 0) return "Q8_0";
  if (quantisation === "IQ3_XXS" || quantisation === "IQ2_XXS") return "Q5_K";
  return base === "Q8_0" ? base : "Q6_K";
}

function valueType(quantisation: Quantisation, base: string, facts: Facts, valueIndex: number): string {
  const grouped = facts.groupSize >= 4;
  if (quantisation === "IQ2_XXS") return grouped || facts.experts >= 4 ? "Q4_K" : "Q2_K";
  let type = base;
  if (quantisation === "Q2_K") type = grouped ? "Q4_K" : "Q3_K";
  else if (quantisation === "IQ3_XXS") type = grouped ? "Q4_K" : "IQ3_XXS";
  else if (quantisation === "Q3_K_M") type = valueIndex < 2 ? "Q5_K" : "Q4_K";
  else if (quantisation === "IQ4_XS" && grouped) type = "Q5_K";
  else if ((quantisation === "Q4_K_M" || quantisation === "Q5_K_M") && wantsMore(valueIndex, facts.valueCount)) type = "Q6_K";
  if (facts.isSeventy && (type === "Q3_K" || type === "Q4_K")) type = "Q5_K";
  return facts.experts === 8 ? "Q8_0" : type;
}

function downType(layer: number, quantisation: Quantisation, base: string, { layerCount }: Facts): string {
  if (quantisation === "Q2_K") return "Q3_K";
  if (quantisation === "Q3_K_M") return layer < Math.floor(layerCount / 16) ? "Q5_K" : "Q4_K";
  if (quantisation === "Q4_K_M" || quantisation === "Q5_K_M") return wantsMore(layer, layerCount) ? "Q6_K" : base;
  if (quantisation === "IQ2_XXS") return layer < Math.floor(layerCount / 8) ? "Q2_K" : base;
  return base;
}

function attentionOutputType(quantisation: Quantisation, base: string, { experts }: Facts): string {
  if (experts === 8) return ["Q2_K", "IQ3_XXS", "Q3_K_M", "Q4_K_M", "IQ4_XS", "IQ2_XXS"].includes(quantisation) ? "Q5_K" : base;
  return { Q2_K: "Q3_K", IQ3_XXS: "IQ3_S", Q3_K_M: "Q4_K" }[quantisation as string] ?? base;
}

/** What takes the place of a type whose blocks do not divide a row. */
const SMALLER_BLOCKS: Readonly<Record<string, string>> = {
  IQ2_XXS: "IQ4_NL",
  IQ2_S: "IQ4_NL",
  IQ3_XXS: "IQ4_NL",
  IQ3_S: "IQ4_NL",
  IQ4_XS: "IQ4_NL",
  Q2_K: "Q4_0",
  Q3_K: "Q4_0",
  Q4_K: "Q5_0",
  Q5_K: "Q5_1",
  Q6_K: "Q8_0",
};

function fitting(type: string, row: number): string {
  const divides = (name: string): boolean => row % (TENSOR_TYPES.get(NUMBERS.get(name) ?? 0)?.blockElements ?? 1) === 0;
  if (divides(type)) return type;
  const smaller = SMALLER_BLOCKS[type];
  return smaller !== undefined && divides(smaller) ? smaller : "F16";
}
