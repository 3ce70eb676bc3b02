import { asModelId, type ContentId, type DeploymentId, type ModelProfile, type NodeId, type Placement } from "@clusterd/wire";
import type { HeadedDeployment } from "../state/daemon-state.ts";

/** A deployment this node is to head, as it begins. */
export function newDeployment(
  id: DeploymentId,
  model: string,
  contentId: ContentId,
  aliases: readonly string[],
  placement: Placement,
  draft: ModelProfile | null,
): HeadedDeployment {
  return {
    id,
    model: asModelId(model),
    contentId,
    aliases,
    // Planned again after a loss, it stays here: this node has the file and the record of it.
    wish: {
      objective: placement.objective,
      head: placement.head as NodeId,
      pins: [],
      without: [],
      context: placement.context,
      slots: placement.slots,
      kv: placement.kv,
      speculation: placement.speculation.type,
      draft,
    },
    placement,
    wanted: true,
    phase: "planning",
    failure: null,
    epoch: 0,
    progress: placement.stages.map(() => 0),
    measuredTokensPerSecond: null,
    speculation: { acceptance: null, active: placement.speculation.type !== "off" },
    timings: [],
    crashesAtMs: [],
    retryAtMs: 0,
  };
}
