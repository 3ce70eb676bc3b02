import type { KvType, PlannerNode, PlanRequest } from "@clusterd/wire";
import { costModel, type CostModel } from "./cost.ts";

/** Nothing below this context is worth suggesting. Tokens. */
export const CONTEXT_MIN = 512;
/** Precision of "so much more memory would do", as a share of the model. */
const ROOM_PRECISION = 0.002;
/** Growth of a further machine's memory that is tried at most, in models. */
const ROOM_MODELS_MAX = 4;
/** Nodes whose own setting or growth is looked into. */
const NODES_LOOKED_AT_MAX = 16;

/** Whether a changed request has a placement. */
export type Fits = (request: PlanRequest) => boolean;

/** Bytes as people read them. */
export function gigabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** What would make a refused request fit: sentences, and the least memory a further machine would need, where one would do. Bytes. */
export interface Remedies {
  readonly suggestions: readonly string[];
  readonly oneMoreBytes: number | null;
}

/** What would make a refused request fit, cheapest first: each was tried, and does. */
export function remedies(request: PlanRequest, cost: CostModel, nodes: readonly PlannerNode[], fits: Fits): Remedies {
  const found = [
    ...cheaperCache(request, cost, fits),
    ...fewerSlots(request, cost, fits),
    ...raisedMemory(request, nodes, fits),
    ...fewerWishes(request, cost, fits),
  ];
  const oneMoreBytes = oneMore(request, cost, fits);
  if (oneMoreBytes !== null) found.push(`One more machine with ${gigabytes(oneMoreBytes)} for models would do.`);
  return { suggestions: found, oneMoreBytes };
}

function savedBy(request: PlanRequest, cost: CostModel, changed: { context?: number; kv?: KvType; slots?: number }): string {
  const { context, kv, slots } = { context: cost.context, kv: request.kv, slots: request.slots, ...changed };
  const other = costModel(request.model, context, slots, kv, request.draft, cost.engine);
  return gigabytes(wholeBytes(cost) - wholeBytes(other));
}

/** All of the model in one place. Bytes. */
export function wholeBytes(cost: CostModel): number {
  return cost.memoryBytes(0, cost.layerCount, true);
}

const CHEAPER: Readonly<Record<KvType, readonly KvType[]>> = { f16: ["q8_0", "q4_0"], q8_0: ["q4_0"], q4_0: [] };

function cheaperCache(request: PlanRequest, cost: CostModel, fits: Fits): string[] {
  const found: string[] = [];
  const kv = CHEAPER[request.kv].find((type) => fits({ ...request, kv: type }));
  if (kv !== undefined) found.push(`A ${kv} KV cache saves ${savedBy(request, cost, { kv })} and fits (--kv ${kv}).`);
  const context = halved(cost.context).find((tokens) => fits({ ...request, context: tokens }));
  // Where a cheaper cache is not enough by itself, with it the context may be longer.
  if (kv === undefined) found.push(...together(request, cost, context ?? 0, fits));
  if (context !== undefined)
    found.push(`A context of ${context} saves ${savedBy(request, cost, { context })} and fits (--ctx ${context}).`);
  return found;
}

function halved(context: number): number[] {
  const all: number[] = [];
  for (let tokens = Math.floor(context / 2); tokens >= CONTEXT_MIN; tokens = Math.floor(tokens / 2)) all.push(tokens);
  return all;
}

function fewerSlots(request: PlanRequest, cost: CostModel, fits: Fits): string[] {
  if (request.slots === 1) return [];
  for (let slots = Math.floor(request.slots / 2); slots >= 1; slots = Math.floor(slots / 2)) {
    if (fits({ ...request, slots }))
      return [
        `With ${slots === 1 ? "one slot" : `${slots} slots`} it takes ${savedBy(request, cost, { slots })} less and fits (--slots ${slots}).`,
      ];
  }
  return [];
}

/** A setting of one machine, else of all that have one. */
function raisedMemory(request: PlanRequest, nodes: readonly PlannerNode[], fits: Fits): string[] {
  const raisable = nodes.filter((node) => (node.raisable?.memoryBytes ?? 0) > node.memoryBytes);
  const withRaised = (names: readonly string[]): PlanRequest => ({
    ...request,
    nodes: request.nodes.map((node) =>
      names.includes(node.name) ? { ...node, memoryBytes: node.raisable?.memoryBytes ?? node.memoryBytes } : node,
    ),
  });
  const single = raisable.slice(0, NODES_LOOKED_AT_MAX).find((node) => fits(withRaised([node.name])));
  if (single?.raisable !== undefined) {
    const more = gigabytes(single.raisable.memoryBytes - single.memoryBytes);
    return [`${single.name} can give ${more} more, which fits: ${single.raisable.how}`];
  }
  const names = raisable.map((node) => node.name);
  const [first] = raisable;
  if (first?.raisable === undefined || names.length < 2 || !fits(withRaised(names))) return [];
  const more = raisable.reduce((sum, node) => sum + (node.raisable?.memoryBytes ?? 0) - node.memoryBytes, 0);
  return [`${names.length} machines can give ${gigabytes(more)} more, which fits; on ${first.name}: ${first.raisable.how}`];
}

/** What was asked for besides the model, left out. */
function fewerWishes(request: PlanRequest, cost: CostModel, fits: Fits): string[] {
  const found: string[] = [];
  const { draft, ...undrafted } = request;
  const { head, ...anyHead } = request;
  if (draft !== undefined && fits({ ...undrafted, speculation: "ngram" })) {
    const bytes = gigabytes(cost.draftBytes);
    found.push(`It fits without the draft model ${draft.id}, which takes ${bytes} of the head (--draft).`);
  }
  if (request.flashAttention === false && fits({ ...request, flashAttention: true }))
    found.push("It fits with flash attention (without --flash-attention off).");
  const helper = request.without.find((name) => fits({ ...request, without: request.without.filter((other) => other !== name) }));
  if (helper !== undefined) found.push(`${helper} would do: leave out --without ${helper}.`);
  else if (request.without.length > 1 && fits({ ...request, without: [] }))
    found.push(`It fits with ${request.without.join(", ")} (without --without).`);
  if (head !== undefined && fits(anyHead)) found.push(`It fits with another head than ${head} (without --head).`);
  if (request.objective === "spread" && fits({ ...request, objective: "latency" }))
    found.push("It fits when not every node must take a part (--objective latency).");
  if (request.pins.length > 0 && fits({ ...request, pins: [] })) found.push("It fits without the pins.");
  return found;
}

/** The cheapest cache and one slot, where the context they leave room for is longer than `context`. */
function together(request: PlanRequest, cost: CostModel, contextAlone: number, fits: Fits): string[] {
  const kv = CHEAPER[request.kv].at(-1) ?? request.kv;
  const context = halved(cost.context).find((tokens) => fits({ ...request, kv, slots: 1, context: tokens }));
  if (context === undefined || context <= contextAlone) return [];
  const slots = request.slots > 1 ? " --slots 1" : "";
  const saved = savedBy(request, cost, { kv, context, slots: 1 });
  return [`--kv ${kv} --ctx ${context}${slots} together save ${saved} and fit.`];
}

/** The least further machine that would do, to a fraction of the model. */
function oneMore(request: PlanRequest, cost: CostModel, fits: Fits): number | null {
  if (request.pins.length > 0 || request.head !== undefined) return null;
  const bandwidth = request.nodes.reduce((least, node) => Math.min(least, node.bandwidthBytesPerSecond), Infinity);
  const bandwidthBytesPerSecond = Number.isFinite(bandwidth) && bandwidth > 0 ? bandwidth : 1e9;
  // Before every other name, so that it is no tie's winner by chance; no node may be called so.
  const withRoom = (memoryBytes: number): PlanRequest => ({
    ...request,
    nodes: [...request.nodes, { name: "\u0000one more", memoryBytes, bandwidthBytesPerSecond, canHead: true }],
  });
  const whole = wholeBytes(cost);
  let high = whole / 64;
  while (!fits(withRoom(high))) {
    high *= 2;
    if (high > ROOM_MODELS_MAX * whole) return null;
  }
  let low = high / 2;
  while (high - low > whole * ROOM_PRECISION) {
    const middle = (low + high) / 2;
    if (fits(withRoom(middle))) high = middle;
    else low = middle;
  }
  return Math.ceil(high);
}
