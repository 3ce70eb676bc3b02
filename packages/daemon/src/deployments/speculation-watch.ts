import type { DeploymentId } from "@clusterd/wire";
import type { HeadedDeployment } from "../state/daemon-state.ts";
import type { Store } from "../state/store.ts";
import {
  acceptanceOf,
  newSpeculation,
  observeSpeculation,
  type SpeculationCosts,
  type SpeculationCounters,
  type SpeculationMemory,
} from "./speculation-policy.ts";

/** What one more token in a step costs, as a share of the stages' work for one (the demo model on one slow core: 0.3). */
const VERIFY_SHARE = 0.3;
/** An acceptance that changed by less is no news. */
const ACCEPTANCE_STEP = 0.005;

interface Watched {
  readonly epoch: number;
  readonly counters: SpeculationCounters;
  readonly memory: SpeculationMemory;
}

/** Decides by what the engines count whether deployments speculate, and tells the state. */
export interface SpeculationWatch {
  look(deployment: HeadedDeployment, epoch: number, counters: SpeculationCounters): void;
}

export function createSpeculationWatch(store: Store): SpeculationWatch {
  const watched = new Map<DeploymentId, Watched>();
  return {
    look(deployment, epoch, counters) {
      const { id, placement } = deployment;
      for (const other of watched.keys()) if (!store.state.deployments.has(other)) watched.delete(other);
      if (placement.speculation.type === "off") return;
      const known = watched.get(id);
      // A new engine counts from zero.
      const last = known?.epoch === epoch ? known : { counters: ZERO, memory: newSpeculation(true) };
      const costs = costsOf(deployment, store.state.own.device.bandwidthBytesPerSecond);
      const memory = observeSpeculation(last.memory, difference(counters, last.counters), costs);
      watched.set(id, { epoch, counters, memory });
      const acceptance = acceptanceOf(memory) ?? deployment.speculation.acceptance;
      const told = deployment.speculation;
      const moved = Math.abs((acceptance ?? -1) - (told.acceptance ?? -1)) >= ACCEPTANCE_STEP;
      if (moved || memory.active !== told.active)
        store.dispatch({ type: "deployment-speculation", id, speculation: { acceptance, active: memory.active } });
    },
  };
}

const ZERO: SpeculationCounters = { tokens: 0, seconds: 0, drafted: 0, accepted: 0 };

function difference(now: SpeculationCounters, before: SpeculationCounters): SpeculationCounters {
  return {
    tokens: now.tokens - before.tokens,
    seconds: now.seconds - before.seconds,
    drafted: now.drafted - before.drafted,
    accepted: now.accepted - before.accepted,
  };
}

/**
 * Costs by the plan: the draft's weights read once per guess (of a model's own layers about those of its last one, and the output), the
 * stages' work for one more token.
 */
function costsOf({ placement, wish }: HeadedDeployment, bandwidthBytesPerSecond: number): SpeculationCosts {
  const { msPerToken } = placement.predicted;
  const computeMs = placement.stages.reduce((sum, stage) => sum + stage.computeMs, placement.predicted.headMs);
  const { layers, outputBytes } = placement.model;
  const ownBytes = placement.speculation.type === "mtp" ? (layers.at(-1)?.activeBytes ?? 0) + outputBytes : 0;
  const draftBytes =
    wish.draft === null ? ownBytes : wish.draft.layers.reduce((sum, layer) => sum + layer.activeBytes, wish.draft.outputBytes);
  return {
    draft: ((draftBytes / bandwidthBytesPerSecond) * 1000) / msPerToken,
    verify: (VERIFY_SHARE * computeMs) / msPerToken,
  };
}
