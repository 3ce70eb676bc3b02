import { formatBytes } from "@clusterd/device";
import {
  ambiguous,
  ClusterdError,
  layersText,
  modelsNamed,
  parseLayers,
  type Advert,
  type ContentId,
  type HeldLayers,
  type HeldPart,
  type ModelId,
  type ModelProfile,
  type NodeId,
} from "@clusterd/wire";
import type { DaemonState, OwnFacts } from "../state/daemon-state.ts";
import { displayNames } from "../state/names.ts";

/** Where in the cluster a model's weights lie, among the members that are there. */
export interface ModelPlaces {
  /** Those that have all of it. */
  readonly holders: ReadonlySet<NodeId>;
  /** Of any member, whatever it has; layers in order. */
  heldBy(node: NodeId): HeldLayers;
  /** What no member has. */
  readonly missing: MissingWeights;
}

export interface MissingWeights extends HeldLayers {
  /** 0: together they have all of it. */
  readonly bytes: number;
}

type Facts = Pick<Advert, "models" | "held"> | Pick<OwnFacts, "models" | "held">;

const NOTHING: HeldLayers = { layers: [], head: false };

/** Whether a member has the whole of a model. */
export function hasWhole({ models }: Pick<Facts, "models">, contentId: ContentId): boolean {
  return models.some((model) => model.contentId === contentId);
}

/** What a member says of itself; those that are gone are left out. */
function factsThere({ self, own, others }: DaemonState): readonly (readonly [NodeId, Facts])[] {
  const there = [...others].filter(([, { state }]) => state === "alive").map(([id, { advert }]) => [id, advert] as const);
  return [[self, own], ...there];
}

function heldOf(facts: Facts, { contentId, layers }: Pick<ModelProfile, "contentId" | "layers">): HeldLayers {
  if (hasWhole(facts, contentId)) return { layers: [...layers.keys()], head: true };
  const part = facts.held?.find((each) => each.contentId === contentId);
  if (part === undefined) return NOTHING;
  const there = parseLayers(part.layers) ?? new Set();
  return { layers: [...layers.keys()].filter((layer) => there.has(layer)), head: part.hasHead };
}

export function placesOf(state: DaemonState, profile: ModelProfile): ModelPlaces {
  const facts = factsThere(state);
  const held = new Map(facts.map(([node, each]) => [node, heldOf(each, profile)]));
  const holders = new Set(facts.filter(([, each]) => hasWhole(each, profile.contentId)).map(([node]) => node));
  return { holders, heldBy: (node) => held.get(node) ?? NOTHING, missing: missingOf(profile, [...held.values()]) };
}

/** What of a model none of these has. */
export function missingOf({ layers, inputBytes, outputBytes }: ModelProfile, all: readonly HeldLayers[]): MissingWeights {
  const there = new Set(all.flatMap((held) => held.layers));
  const missing = [...layers.keys()].filter((layer) => !there.has(layer));
  const head = !all.some((held) => held.head);
  const bytes = missing.reduce((sum, layer) => sum + (layers[layer]?.weightBytes ?? 0), head ? inputBytes + outputBytes : 0);
  return { layers: missing, head, bytes };
}

/** A part of the model that a name means, on a member that is there: the name under which it was loaded. */
export function partNamed(state: DaemonState, ref: string): { readonly node: NodeId; readonly part: HeldPart } | null {
  const parts = factsThere(state).flatMap(([node, { held }]) =>
    (held ?? []).map((part) => ({ id: part.model, aliases: [], node, part })),
  );
  const [found] = ambiguous(ref, parts).length > 0 ? [] : modelsNamed(ref, parts);
  return found ?? null;
}

/** Who is there and has a part of a model, with the name that it has there. */
export function partOf(state: DaemonState, contentId: ContentId): { readonly node: NodeId; readonly part: HeldPart } | null {
  for (const [node, { held }] of factsThere(state)) {
    const part = held?.find((each) => each.contentId === contentId);
    if (part !== undefined) return { node, part };
  }
  return null;
}

/** What is missing, in words: `layers 8-11, the embeddings and the output (1.2 GB)`. */
export function missingText({ layers, head, bytes }: MissingWeights): string {
  const which = layers.length === 0 ? [] : [`layer${layers.length === 1 ? "" : "s"} ${layersText(layers).replaceAll(",", ", ")}`];
  const parts = [...which, ...(head ? ["the embeddings and the output"] : [])].join(", ");
  return `${parts} (${formatBytes(bytes)})`;
}

/** For a model that the members do not have together, and no hub is asked for: what is missing, and who had it last. */
export function notAllThere(state: DaemonState, model: ModelId, profile: ModelProfile, missing: MissingWeights): ClusterdError {
  const names = displayNames(state);
  const gone = [...state.others].filter(([, other]) => other.state !== "alive");
  const lastOn = gone.flatMap(([node, { advert }]) => {
    const held = heldOf(advert, profile);
    const some = held.layers.some((layer) => missing.layers.includes(layer)) || (missing.head && held.head);
    return some ? [names.get(node) ?? node] : [];
  });
  const who = lastOn.length === 0 ? "" : ` ${lastOn.join(" and ")} had ${lastOn.length === 1 ? "" : "some of "}it last.`;
  const back = lastOn.length === 0 ? "Bring back a node that has it" : `Start ${lastOn.join(" and ")} again`;
  const pull = model.includes("/")
    ? `, or fetch it anew where the hub can be reached: clusterd load hf:${model}`
    : ", or give the path of a whole file";
  return new ClusterdError("shards_unreachable", `No node that is there has ${missingText(missing)} of ${model}.${who}`, {
    next: `${back}${pull}.`,
    details: { missingLayers: layersText(missing.layers), missingHead: missing.head, missingBytes: missing.bytes, lastOn },
  });
}
