import type { AdvertDeployment, DeploymentId, ModelProfile, Placement, PlanResult, Refusal } from "@clusterd/wire";
import type { PlanQuestion } from "../planning/plan-cluster.ts";
import { planForCluster } from "../planning/plan-cluster.ts";
import type { DaemonState, PlanWish } from "../state/daemon-state.ts";
import { allDeployments } from "../state/view.ts";
import { fewestEvictions } from "./fewest-evictions.ts";

/** With less context a model does not do what it is asked for: rather than that, idle ones make room. Tokens. */
export const CONTEXT_USEFUL = 4_096;

/** A placement, and what has to go for it. */
export interface Room {
  readonly plan: Placement;
  readonly evict: readonly AdvertDeployment[];
}

/** Why there is no room, and what would make some. */
export interface NoRoom {
  readonly refusal: Refusal;
  /** Models at work that requests have loaded: once they are idle, it fits. Empty where that would not do. */
  readonly waitsFor: readonly string[];
}

export function isRoom(found: Room | NoRoom): found is Room {
  return "plan" in found;
}

/**
 * The placement of a model beside what is deployed. Where it does not fit, or with little context only, idle deployments that requests
 * have loaded make room: the least recently used ones, and no more than are needed. What a person loaded stays, as does what works.
 */
export function findRoom(
  state: DaemonState,
  model: ModelProfile,
  wish: PlanWish,
  replacing: ReadonlySet<DeploymentId>,
  question: PlanQuestion = {},
): Room | NoRoom {
  const without = (gone: readonly AdvertDeployment[]): PlanResult =>
    planForCluster(state, model, wish, new Set([...replacing, ...gone.map(({ id }) => id)]), question);
  const useful = Math.min(model.contextMax, CONTEXT_USEFUL);
  const isUseful = (result: PlanResult): result is Placement =>
    result.feasible && (wish.context !== null || result.context >= useful);

  const alone = without([]);
  if (isUseful(alone)) return { plan: alone, evict: [] };
  const others = allDeployments(state).filter(({ id, view }) => !replacing.has(id) && view.state !== "failed");
  const idle = others.filter(({ view }) => view.onDemand?.idle === true).sort(byLastUse);
  for (const good of [isUseful, (result: PlanResult): result is Placement => result.feasible]) {
    const evict = good(alone) ? [] : fewestEvictions(idle, (gone) => good(without(gone)));
    const plan = evict === null ? null : evict.length === 0 ? alone : without(evict);
    if (evict !== null && plan?.feasible === true) return { plan, evict };
  }
  if (alone.feasible) return { plan: alone, evict: [] };
  return noRoom(alone, idle, others, (gone) => without(gone).feasible);
}

function noRoom(
  refusal: Refusal,
  idle: readonly AdvertDeployment[],
  others: readonly AdvertDeployment[],
  fits: (gone: readonly AdvertDeployment[]) => boolean,
): NoRoom {
  const busy = others.filter(({ view }) => view.onDemand !== null && view.onDemand !== undefined && !view.onDemand.idle);
  const waits = fewestEvictions([...idle, ...busy.sort(byLastUse)], fits)?.filter((one) => busy.includes(one)) ?? [];
  if (waits.length > 0) {
    const names = waits.map(nameOf);
    const are = names.length === 1 ? "is" : "are";
    return { refusal: advised(refusal, `Once ${names.join(" and ")} ${are} idle, it fits.`), waitsFor: names };
  }
  const kept = others.filter((one) => !idle.includes(one));
  const gone = (fewestEvictions([...idle, ...kept], fits) ?? []).filter((one) => kept.includes(one)).map(nameOf);
  if (gone.length === 0) return { refusal, waitsFor: [] };
  const commands = gone.map((name) => `clusterd unload ${name}`).join(", ");
  return {
    refusal: advised(refusal, `Unloading ${gone.join(" and ")} makes room, and then it fits: ${commands}.`),
    waitsFor: [],
  };
}

function advised(refusal: Refusal, sentence: string): Refusal {
  return { ...refusal, suggestions: [sentence, ...refusal.suggestions] };
}

const nameOf = ({ view }: AdvertDeployment): string => view.model;

function byLastUse(a: AdvertDeployment, b: AdvertDeployment): number {
  return (a.view.onDemand?.usedAt ?? 0) - (b.view.onDemand?.usedAt ?? 0) || (a.id < b.id ? -1 : 1);
}

/** A plan that says what goes for it. */
export function withEvictions({ plan, evict }: Room): Placement {
  if (evict.length === 0) return plan;
  const names = evict.map(nameOf).join(" and ");
  return { ...plan, notes: [...plan.notes, `${names} would be unloaded: loaded by requests, and idle.`] };
}
