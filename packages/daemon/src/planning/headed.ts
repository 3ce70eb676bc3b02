import {
  asModelId,
  type ContentId,
  type DeploymentId,
  type DeployWish,
  type ModelProfile,
  type NodeId,
  type Placement,
} from "@clusterd/wire";
import { QUEUE_WAITING_MAX } from "../queue/limits.ts";
import { UNMEASURED, UNUSED } from "../state/apply.ts";
import type { DaemonState, HeadedDeployment, PlanWish } from "../state/daemon-state.ts";
import { hasWhole } from "./model-places.ts";
import type { PlanQuestion } from "./plan-cluster.ts";

/** A deployment this node is to head, as it begins. */
export function newDeployment(
  id: DeploymentId,
  model: string,
  contentId: ContentId,
  placement: Placement,
  draft: ModelProfile | null,
  asked: DeployWish,
): HeadedDeployment {
  return {
    id,
    model: asModelId(model),
    contentId,
    // Planned again after a loss, it stays here: this node has the file and the record of it.
    wish: {
      objective: placement.objective,
      head: placement.head as NodeId,
      pins: [],
      without: asked.without,
      context: asked.context ?? null,
      slots: placement.slots,
      kv: placement.kv,
      flashAttention: placement.flashAttention,
      speculation: placement.speculation.type,
      draft,
    },
    asked,
    placement,
    wanted: true,
    phase: "planning",
    failure: null,
    epoch: 0,
    progress: placement.stages.map(() => 0),
    fetches: [],
    measuredTokensPerSecond: null,
    measured: UNMEASURED,
    proposal: null,
    use: UNUSED,
    speculation: { acceptance: null, active: placement.speculation.type !== "off" },
    queue: { active: 0, waiting: 0, limit: QUEUE_WAITING_MAX },
    timings: [],
    crashesAtMs: [],
    retryAtMs: 0,
  };
}

/** What a better placement of a running deployment may be: as it was asked for, with the context it has now. */
export function askedWish({ asked, wish, placement: { context, costs } }: HeadedDeployment): PlanWish {
  const { contextTokensRead } = costs;
  return { ...wish, head: asked.head, pins: asked.pins, without: asked.without, context, contextTokensRead };
}

/**
 * The id under which a model runs whose weights no member has all of: its head fetches its part as everyone does. Null: someone has it,
 * who can be the head.
 */
export function inParts(state: DaemonState, { id, contentId }: Pick<ModelProfile, "id" | "contentId">): string | null {
  const there = [state.own, ...[...state.others.values()].filter((other) => other.state === "alive").map(({ advert }) => advert)];
  return there.some((facts) => hasWhole(facts, contentId)) ? null : id;
}

/** How a deployment is planned again: as the head of a part it goes on being that. */
export function partQuestion({ hub, parts }: Pick<DeployWish, "hub" | "parts">): PlanQuestion {
  return { selfHeads: (hub ?? parts ?? null) !== null, fromHub: (hub ?? null) !== null };
}

/** Layers on nodes, planned or running. Nodes by id. */
interface Staged {
  readonly head: string;
  readonly stages: readonly { readonly node: string; readonly firstLayer: number; readonly lastLayer: number }[];
}

/** Whether two placements put the same layers on the same nodes under the same head. */
export function sameStages(a: Staged, b: Staged): boolean {
  const text = ({ head, stages }: Staged): string =>
    [head, ...stages.map((stage) => `${stage.node}:${stage.firstLayer}-${stage.lastLayer}`)].join(" ");
  return text(a) === text(b);
}
