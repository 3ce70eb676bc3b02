import { setTimeout as pause } from "node:timers/promises";
import {
  asClusterdError,
  ClusterdError,
  placeOf,
  type Advert,
  type ControlAnswers,
  type FetchLayersRequest,
  type HubPlace,
  type NodeId,
  type PlanStage,
} from "@clusterd/wire";
import type { DaemonState, HeadedDeployment } from "../state/daemon-state.ts";
import type { OwnPart } from "./layer-fetch.ts";
import type { Store } from "../state/store.ts";

const ASK_MS_MAX = 10_000;
const STOP_MS_MAX = 2_000;
/** Between two asks, at first and in the end: what is small is soon there, and each answer that is news goes to all members. */
const POLL_MS_MIN = 100;
const POLL_MS_MAX = 1_000;
const POLL_GROWTH = 1.5;
/** Answers in a row that do not come, after which a node is not waited for. */
const SILENT_ASKS_MAX = 3;

export interface FetchStagesConfig {
  readonly store: Store;
  readonly deployment: HeadedDeployment;
  ask(
    node: NodeId,
    request: FetchLayersRequest,
    options: { readonly signal: AbortSignal },
  ): Promise<ControlAnswers["fetch-layers"]>;
  nameOf(node: NodeId): string;
  onProgress(stage: number, doneBytes: number, totalBytes: number): void;
  log(message: string): void;
  /** A node is not heard of any more. */
  onSilent(node: NodeId): void;
  /** The head has a part itself, and cannot send what a node has not fetched: throws then. */
  readonly mustFetch: boolean;
  readonly signal: AbortSignal;
}

const hasWhole = ({ models }: Pick<Advert, "models">, { contentId }: HeadedDeployment): boolean =>
  models.some((model) => model.contentId === contentId);

/** Whether a remote stage's node is not known to have the whole model. */
export function layersMissing(state: DaemonState, deployment: HeadedDeployment): boolean {
  return deployment.placement.stages.some((stage) => {
    const { node } = placeOf(stage.node as NodeId);
    const other = state.others.get(node);
    return node !== state.self && (other === undefined || !hasWhole(other.advert, deployment));
  });
}

/** Members that have the model, whole or in parts, and those that are to have a part; all but one. */
function sourcesOf({ self, own, others }: DaemonState, deployment: HeadedDeployment, except: NodeId): readonly NodeId[] {
  const has = (facts: Pick<Advert, "models"> & { readonly held?: Advert["held"] }): boolean =>
    hasWhole(facts, deployment) || (facts.held ?? []).some(({ contentId }) => contentId === deployment.contentId);
  const there = [...others.values()]
    .filter(({ advert, state }) => state === "alive" && has(advert))
    .map(({ advert }) => advert.node);
  // Those that have other layers of it may have these as well, from an earlier placement.
  const stages = deployment.placement.stages.map(({ node }) => placeOf(node as NodeId).node);
  return [...new Set([...(has(own) ? [self] : []), ...there, ...stages])].filter((node) => node !== except);
}

/** What the head itself has to fetch, where no member has all of the model. */
export function ownPart(state: DaemonState, deployment: HeadedDeployment, hub: HubPlace | null): OwnPart {
  const { model, contentId, placement } = deployment;
  // One process, or one for each accelerator: all read the same file.
  const own = placement.stages.filter(({ node }) => placeOf(node as NodeId).node === state.self);
  return {
    model,
    contentId,
    hub,
    firstLayer: own.length === 0 ? 0 : Math.min(...own.map(({ firstLayer }) => firstLayer)),
    lastLayer: own.length === 0 ? -1 : Math.max(...own.map(({ lastLayer }) => lastLayer)),
    isHead: true,
    holders: sourcesOf(state, deployment, state.self),
  };
}

/**
 * Has every remote stage's node fetch its layers to its own disk, all at once, and waits. A node that cannot (no room, say) is said by
 * name: its layers are then sent with every load, as far as the head has them.
 */
export async function fetchStages(config: FetchStagesConfig): Promise<void> {
  const { placement } = config.deployment;
  const { self } = config.store.state;
  const remote = placement.stages
    .map((stage, index) => ({ stage, index }))
    .filter(({ stage }) => placeOf(stage.node as NodeId).node !== self);
  await Promise.all(remote.map(({ stage, index }) => fetchStage(config, stage, index)));
  config.signal.throwIfAborted();
}

async function fetchStage(config: FetchStagesConfig, stage: PlanStage, index: number): Promise<void> {
  const { deployment, signal, store } = config;
  const { self } = store.state;
  const { node } = placeOf(stage.node as NodeId);
  const request: FetchLayersRequest = {
    type: "fetch-layers",
    model: deployment.model,
    contentId: deployment.contentId,
    firstLayer: stage.firstLayer,
    lastLayer: stage.lastLayer,
    root: self,
    hub: deployment.asked.hub ?? null,
    holders: sourcesOf(store.state, deployment, node).filter((other) => other !== self),
  };
  let isOver = false;
  // What nobody waits for is not to take anyone's link for a minute more.
  using _ = onceAborted(signal, () => {
    if (!isOver)
      void config.ask(node, { ...request, stop: true }, { signal: AbortSignal.timeout(STOP_MS_MAX) }).catch(() => undefined);
  });
  let silent = 0;
  for (let pollMs = POLL_MS_MIN; ; pollMs = Math.min(POLL_MS_MAX, pollMs * POLL_GROWTH)) {
    signal.throwIfAborted();
    const askedMs = performance.now();
    try {
      const answer = await config.ask(node, request, { signal: AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)]) });
      silent = 0;
      isOver = answer.state !== "fetching";
      if (answer.state === "here") return;
      if (answer.state === "failed")
        throw new ClusterdError(answer.error?.code ?? "failed", answer.error?.message ?? "no reason was given");
      if (answer.totalBytes > 0) config.onProgress(index, answer.doneBytes, answer.totalBytes);
    } catch (error) {
      signal.throwIfAborted();
      const { code, message } = asClusterdError(error);
      silent += code === "timeout" ? 1 : SILENT_ASKS_MAX;
      // Planned again before it is known to be lost, it would be counted on.
      if (silent >= SILENT_ASKS_MAX && code === "shards_unreachable" && !isOver) config.onSilent(node);
      if (silent >= SILENT_ASKS_MAX) {
        if (config.mustFetch)
          throw new ClusterdError(
            // What is broken there is fetched again: worth another try.
            code === "model_broken" ? "shards_unreachable" : code,
            `${config.nameOf(node)} has not fetched layers ${stage.firstLayer}-${stage.lastLayer}: ${message}`,
          );
        config.log(
          `${config.nameOf(node)} keeps no layers of ${deployment.model}: ${message} They are sent to it with every load.`,
        );
        return;
      }
    }
    // What is under way is answered late, at its end or after a while: that was the pause already.
    await pause(Math.max(0, pollMs - (performance.now() - askedMs)), undefined, { signal });
  }
}

function onceAborted(signal: AbortSignal, action: () => void): Disposable {
  signal.addEventListener("abort", action, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", action) };
}
