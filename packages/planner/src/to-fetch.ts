import type { HeldLayers, ModelProfile } from "@clusterd/wire";
import { trunkLayers } from "./layer-costs.ts";

/** How many bytes of a model's files a machine lacks for a place in a pipeline. */
export type ToFetch = (place: { readonly firstLayer: number; readonly lastLayer: number; readonly isHead: boolean }) => number;

/**
 * By what a machine has on its disk: the weights of the place's layers that are not there, and for the head the embeddings, the output and
 * the layers for later tokens. `lastLayer` is below `firstLayer` where it holds none.
 */
export function toFetch(model: ModelProfile, held: HeldLayers): ToFetch {
  const { layers, inputBytes, outputBytes } = model;
  const there = new Set(held.layers);
  const sums = [0];
  for (const [index, { weightBytes }] of layers.entries()) sums.push((sums[index] ?? 0) + (there.has(index) ? 0 : weightBytes));
  const nextTokens = (sums[layers.length] ?? 0) - (sums[trunkLayers(model)] ?? 0);
  const headBytes = nextTokens + (held.head ? 0 : inputBytes + outputBytes);
  return ({ firstLayer, lastLayer, isHead }) =>
    (lastLayer < firstLayer ? 0 : (sums[lastLayer + 1] ?? 0) - (sums[firstLayer] ?? 0)) + (isHead ? headBytes : 0);
}
