import { OBJECTIVES, SPECULATION_WISHES, type KvType, type Objective, type Pin, type SpeculationWish } from "@clusterd/wire";
import { CLUSTER_NODES_MAX, LAYERS_MAX, REPLICAS_MAX } from "@clusterd/wire";
import type { LoadBody } from "../backend.ts";
import type { JsonObject } from "../json-body.ts";
import { NAME_TEXT_MAX } from "../limits.ts";
import {
  flag,
  integerIn,
  invalidField,
  listUpTo,
  objectAt,
  oneOf,
  pickFields,
  textUpTo,
  type FieldRules,
} from "./field-rules.ts";

const CONTEXT_TOKENS_MAX = 2 ** 31 - 1;
const SLOTS_MAX = 1_024;
/** Placements that one plan tells of. */
const ALTERNATIVES_MAX = 100;

function name(value: unknown, param: string): string {
  const given = textUpTo(NAME_TEXT_MAX)(value, param).trim();
  if (given === "") throw invalidField(param, "must not be empty");
  return given;
}

/** `NODE=FIRST-LAST`, or the same as an object. */
function pin(value: unknown, param: string): Pin {
  const match = typeof value === "string" ? /^(.+)=(\d{1,5})-(\d{1,5})$/.exec(value.trim()) : null;
  if (typeof value === "string" && match === null) throw invalidField(param, "must be NODE=FIRST-LAST");
  const given: JsonObject =
    match === null ? objectAt(value, param) : { node: match[1], firstLayer: Number(match[2]), lastLayer: Number(match[3]) };
  knownFields(given, ["node", "firstLayer", "lastLayer"], param);
  const layer = integerIn(0, LAYERS_MAX - 1);
  const firstLayer = layer(given["firstLayer"], `${param}.firstLayer`);
  const lastLayer = layer(given["lastLayer"], `${param}.lastLayer`);
  if (lastLayer < firstLayer) throw invalidField(param, "must not end before it begins");
  return { node: name(given["node"], `${param}.node`), firstLayer, lastLayer };
}

const nodeList = listUpTo(CLUSTER_NODES_MAX);

const LOAD_FIELDS: FieldRules = {
  model: name,
  as: name,
  objective: oneOf(...OBJECTIVES),
  head: name,
  pin: (value, param) => nodeList(value, param).map((item, at) => pin(item, `${param}[${at}]`)),
  without: (value, param) => nodeList(value, param).map((item, at) => name(item, `${param}[${at}]`)),
  ctx: integerIn(1, CONTEXT_TOKENS_MAX),
  slots: integerIn(1, SLOTS_MAX),
  kv: oneOf("f16", "q8_0", "q4_0"),
  flashAttention: flag,
  replicas: (value, param) => (value === "auto" ? value : integerIn(1, REPLICAS_MAX)(value, param)),
  draft: name,
  speculation: oneOf(...SPECULATION_WISHES),
  top: integerIn(0, ALTERNATIVES_MAX),
  promptTokens: integerIn(1, CONTEXT_TOKENS_MAX),
  replan: oneOf("now", "ask", "auto"),
};

interface CheckedLoad {
  model?: string;
  as?: string;
  objective?: Objective;
  head?: string;
  pin?: readonly Pin[];
  without?: readonly string[];
  ctx?: number;
  slots?: number;
  kv?: KvType;
  flashAttention?: boolean;
  replicas?: number | "auto";
  draft?: string;
  speculation?: SpeculationWish;
  top?: number;
  promptTokens?: number;
  replan?: "now" | "ask" | "auto";
}

function knownFields(body: JsonObject, names: readonly string[], where?: string): void {
  const unknown = Object.keys(body).find((key) => !names.includes(key));
  if (unknown === undefined) return;
  const param = where === undefined ? unknown : `${where}.${unknown}`;
  throw invalidField(param.slice(0, 100), `is not a field here; there are ${names.join(", ")}`);
}

/** Control requests come from clusterd's own tools: an unknown field is a mistake, and named. */
export function strictFields(body: JsonObject, rules: FieldRules): Record<string, unknown> {
  knownFields(body, Object.keys(rules));
  return pickFields(body, rules);
}

/** The body of `/cluster/v1/plan` and `/load`. */
export function loadBody(body: JsonObject): LoadBody {
  const checked = strictFields(body, LOAD_FIELDS) as CheckedLoad;
  if (checked.model === undefined) throw invalidField("model", "is missing");
  return { ...checked, model: checked.model };
}

/** A body with the one field that its route needs. */
export function oneName(body: JsonObject, field: "model" | "code" | "node"): string {
  const given = strictFields(body, { [field]: name })[field];
  if (given === undefined) throw invalidField(field, "is missing");
  return given as string;
}

export function drainBody(body: JsonObject): { readonly node: string; readonly on: boolean } {
  const { node, on } = strictFields(body, { node: name, on: flag }) as { node?: string; on?: boolean };
  if (node === undefined) throw invalidField("node", "is missing");
  return { node, on: on ?? true };
}

/** A body that must have nothing to say. */
export function noFields(body: JsonObject): void {
  strictFields(body, {});
}
