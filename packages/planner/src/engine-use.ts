import { ClusterdError, type PlanRequest } from "@clusterd/wire";
import type { EngineUse } from "./cost.ts";
import { chosenSpeculation } from "./speculation.ts";

/** Models that llama.cpp v0.5.0 computes without flash attention, whatever it is told (`llama_init_from_model`). */
const NEVER_FLASH: ReadonlySet<string> = new Set(["grok"]);

/** Whether a request's deployment uses flash attention. Throws `invalid_request` where its cache cannot be without. */
export function usesFlashAttention({ model, kv, flashAttention = true }: PlanRequest): boolean {
  const uses = flashAttention && !NEVER_FLASH.has(model.architecture);
  if (uses || kv === "f16") return uses;
  const why = flashAttention ? `${model.id} is computed without` : "it is switched off";
  throw new ClusterdError("invalid_request", `A ${kv} KV cache needs flash attention, and ${why}.`, {
    next: flashAttention ? "Use --kv f16." : "Use --kv f16, or --flash-attention on.",
    param: flashAttention ? "kv" : "flashAttention",
  });
}

/** How a request's deployment runs its engine. Throws what `chosenSpeculation` and `usesFlashAttention` throw. */
export function engineUseOf(request: PlanRequest): EngineUse {
  const { contextTokensRead } = request;
  return {
    speculation: chosenSpeculation(request),
    flashAttention: usesFlashAttention(request),
    ...(contextTokensRead === undefined ? {} : { contextTokensRead }),
  };
}
