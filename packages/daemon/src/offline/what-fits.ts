import { setImmediate } from "node:timers/promises";
import { knownModels, knownProfile, leastBytes, quantisationsOf, type KnownModel } from "@clusterd/catalog";
import { CONTEXT_DEFAULT, neededBytes, plan } from "@clusterd/planner";
import type { Inventory, KvType, ModelProfile, Objective, Placement, PlanRequest } from "@clusterd/wire";

/** Slower than this is told of, but not called useful. Tokens per second. */
export const USEFUL_TOKENS_PER_SECOND = 1;
/** Nothing is gained over eight bits: a file of sixteen is never the best, only one more that fits. */
const UNQUANTISED = "BF16";

export interface FitsQuestion {
  readonly ctx?: number;
  readonly slots?: number;
  readonly kv?: KvType;
  readonly objective?: Objective;
  readonly head?: string;
  readonly without?: readonly string[];
}

/** A model that runs, in the best quantisation that does at a useful speed. Bytes, milliseconds, tokens. */
export interface FittingModel {
  readonly model: string;
  /** Published count of its weights. */
  readonly parameters: number;
  readonly quantisation: string;
  /** Of its file. */
  readonly bytes: number;
  readonly tokensPerSecond: number;
  readonly low: number;
  readonly high: number;
  readonly msPerToken: number;
  /** Whether it is as fast as `USEFUL_TOKENS_PER_SECOND`. */
  readonly useful: boolean;
  readonly nodes: readonly string[];
  readonly head: string;
  readonly context: number;
  /** Over all nodes. */
  readonly memoryBytes: number;
  /** Other quantisations that fit as well. */
  readonly others: readonly string[];
}

/** A model of which nothing fits: the smallest quantisation, and what is missing for it. 0: the machines have it, but not in pieces that fit. */
export interface MissingModel {
  readonly model: string;
  readonly parameters: number;
  readonly quantisation: string;
  readonly shortByBytes: number;
}

export interface FitsReport {
  readonly fits: readonly FittingModel[];
  readonly doesNotFit: readonly MissingModel[];
}

/** Which models of the catalogue these machines run, and how fast; the largest first. Rejects when `signal` is aborted. */
export async function whatFits(
  inventory: Inventory,
  question: FitsQuestion,
  tell: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<FitsReport> {
  const fits: FittingModel[] = [];
  const doesNotFit: MissingModel[] = [];
  const models = knownModels().toSorted((a, b) => b.parameters - a.parameters);
  for (const [index, model] of models.entries()) {
    const found = tryModel(model, inventory, question);
    if ("shortByBytes" in found) doesNotFit.push(found);
    else fits.push(found);
    tell(index + 1, models.length);
    // Planning is arithmetic: without a pause nothing else would be heard, an interrupt neither.
    await setImmediate();
    signal.throwIfAborted();
  }
  return { fits, doesNotFit };
}

interface Tried {
  readonly quantisation: string;
  readonly profile: ModelProfile;
  readonly placement: Placement;
}

function tryModel(model: KnownModel, inventory: Inventory, question: FitsQuestion): FittingModel | MissingModel {
  const without = question.without ?? [];
  const memory = inventory.nodes.filter((node) => !without.includes(node.name)).reduce((sum, node) => sum + node.memoryBytes, 0);
  const name = model.names[0] ?? "";
  const others: string[] = [];
  let best: Tried | null = null;
  /** The last placement found: what is smaller in every part fits wherever it does. */
  let fitting: Tried | null = null;
  let refused: { readonly quantisation: string; readonly shortByBytes: number } | null = null;
  const all = quantisationsOf(model);
  const smallest = all.at(-1) ?? UNQUANTISED;
  for (const quantisation of all) {
    if (leastBytes(model, quantisation) > memory) continue;
    const profile = knownProfile(model, quantisation);
    if (weightBytes(profile) > memory) continue;
    if (isUseful(best) && fitting !== null && isNowhereLarger(profile, fitting.profile)) {
      others.push(quantisation);
      continue;
    }
    const placement = plan(requestOf(profile, inventory, question));
    if (!placement.feasible) {
      refused = { quantisation, shortByBytes: placement.shortByBytes };
      continue;
    }
    fitting = { quantisation, profile, placement };
    const isBest = quantisation !== UNQUANTISED && !isUseful(best);
    if (isBest && best !== null) others.push(best.quantisation);
    if (isBest) best = fitting;
    else others.push(quantisation);
  }
  // Of some models there is nothing but the file of sixteen bits that fits.
  const told = best ?? fitting;
  if (told !== null)
    return describe(
      model,
      told,
      others.filter((quantisation) => quantisation !== told.quantisation),
    );
  // What is short in all is plain; where only the pieces do not fit, the planner has said how much more would do.
  const short = Math.max(0, neededBytes(requestOf(knownProfile(model, smallest), inventory, question)) - memory);
  const inPieces = refused?.quantisation === smallest ? refused.shortByBytes : 0;
  return {
    model: name,
    parameters: model.parameters,
    quantisation: smallest,
    shortByBytes: Math.ceil(Math.max(short, inPieces)),
  };
}

function isUseful(tried: Tried | null): boolean {
  return tried !== null && tried.placement.predicted.tokensPerSecond >= USEFUL_TOKENS_PER_SECOND;
}

function isNowhereLarger(a: ModelProfile, b: ModelProfile): boolean {
  return (
    a.inputBytes <= b.inputBytes &&
    a.outputBytes <= b.outputBytes &&
    a.layers.every((layer, index) => layer.weightBytes <= (b.layers[index]?.weightBytes ?? 0))
  );
}

function weightBytes({ layers, inputBytes, outputBytes }: ModelProfile): number {
  return layers.reduce((sum, layer) => sum + layer.weightBytes, inputBytes + outputBytes);
}

function requestOf(
  model: ModelProfile,
  inventory: Inventory,
  question: FitsQuestion,
): PlanRequest & { readonly context: number } {
  const { ctx, slots, kv, objective, head, without } = question;
  return {
    model,
    nodes: inventory.nodes,
    links: inventory.links,
    objective: objective ?? "latency",
    // The same for all, so that they compare; models made for less get what they can.
    context: Math.min(ctx ?? CONTEXT_DEFAULT, model.contextMax),
    slots: slots ?? 1,
    kv: kv ?? "f16",
    ...(head === undefined ? {} : { head }),
    pins: [],
    without: without ?? [],
    top: 0,
  };
}

function describe(model: KnownModel, { quantisation, profile, placement }: Tried, others: readonly string[]): FittingModel {
  const { predicted, stages, head, context, costs } = placement;
  const nodes = [...new Set([head, ...stages.map((stage) => stage.node)])];
  const isAtHead = stages.some((stage) => stage.node === head);
  const atHead = isAtHead ? 0 : costs.headBufferBytes + placement.model.inputBytes + placement.model.outputBytes;
  return {
    model: model.names[0] ?? "",
    parameters: model.parameters,
    quantisation,
    bytes: profile.fileBytes,
    tokensPerSecond: predicted.tokensPerSecond,
    low: predicted.low,
    high: predicted.high,
    msPerToken: predicted.msPerToken,
    useful: predicted.tokensPerSecond >= USEFUL_TOKENS_PER_SECOND,
    nodes,
    head,
    context,
    memoryBytes: stages.reduce((sum, stage) => sum + stage.memoryBytes, atHead),
    others,
  };
}
