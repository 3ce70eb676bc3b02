import type { PlanRequest } from "@clusterd/wire";
import { costModel } from "./cost.ts";
import { wholeBytes } from "./suggest.ts";

/** What a model takes in one place: weights, the cache of `context` tokens for every slot, buffers. Bytes. */
export function neededBytes({
  model,
  context,
  slots,
  kv,
}: Pick<PlanRequest, "model" | "slots" | "kv"> & { readonly context: number }): number {
  return wholeBytes(costModel(model, context, slots, kv));
}
