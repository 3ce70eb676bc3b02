import type { Backend } from "../backend.ts";
import type { Caller } from "../gateway-env.ts";
import type { JsonObject } from "../json-body.ts";
import { listModels, oneModel } from "./model-routes.ts";

interface ListedModel {
  readonly id: string;
  readonly created: number;
  readonly clusterd: { readonly context?: number; readonly contextMax?: number };
}

/** A model in Anthropic's shape. What is not known of it is null. */
function modelInfo({ id, created, clusterd }: ListedModel): JsonObject {
  const context = clusterd.context ?? clusterd.contextMax ?? null;
  return {
    type: "model",
    id,
    display_name: id,
    created_at: new Date(created * 1000).toISOString(),
    max_input_tokens: context,
    max_tokens: context,
    capabilities: null,
    lifecycle: "active",
    line: null,
    deprecated_at: null,
    retires_at: null,
  };
}

/** All on one page. */
export function anthropicModels(backend: Backend, caller: Caller): JsonObject {
  const { data } = listModels(backend, caller) as { readonly data: readonly ListedModel[] };
  return { data: data.map(modelInfo), has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
}

export function anthropicModel(backend: Backend, model: string): JsonObject {
  return modelInfo(oneModel(backend, model) as ListedModel);
}
