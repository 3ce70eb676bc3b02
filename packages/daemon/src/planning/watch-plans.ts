import {
  asClusterdError,
  type ContentId,
  type DeploymentId,
  type ErrorCode,
  type ModelProfile,
  type ProposalView,
} from "@clusterd/wire";
import type { HeadedDeployment } from "../state/daemon-state.ts";
import type { Store } from "../state/store.ts";
import { createProposalFinder } from "./find-proposal.ts";
import { afterLook, NOTHING_PROPOSED, type ProposalRecord } from "./replan-policy.ts";

const LOOK_MS = 5_000;
/** After a move that failed it is not tried again for so long. */
const RETRY_MS = 10 * 60_000;

/** Failures that another node may mend. */
const MAY_COME_BACK: ReadonlySet<ErrorCode> = new Set(["does_not_fit", "worker_lost", "shards_unreachable", "timeout"]);

export interface PlanWatchConfig {
  readonly store: Store;
  profileOf(contentId: ContentId): ModelProfile | null;
  /** Whether a deployment's engine answers nobody at the moment. */
  isIdle(id: DeploymentId): Promise<boolean>;
  /** Moves a deployment to the best placement for now. */
  move(id: DeploymentId): Promise<unknown>;
  log(message: string): void;
}

/**
 * Compares what runs here with the best placement for now, and proposes a change that is worth it. A deployment that was told to
 * (`--replan auto`) is moved, once it is idle; none else ever is.
 */
export function watchPlans(config: PlanWatchConfig): Disposable {
  const { store } = config;
  const records = new Map<DeploymentId, ProposalRecord>();
  const finder = createProposalFinder();
  const notBefore = new Map<DeploymentId, number>();
  /** The other nodes that were there when a deployment was last looked at. */
  const seenAmong = new Map<DeploymentId, string>();
  let moving = false;

  function look(): void {
    for (const id of records.keys()) {
      if (store.state.deployments.has(id)) continue;
      records.delete(id);
      finder.forget(id);
    }
    for (const id of seenAmong.keys()) if (!store.state.deployments.has(id)) seenAmong.delete(id);
    for (const id of notBefore.keys()) if (!store.state.deployments.has(id)) notBefore.delete(id);
    for (const deployment of store.state.deployments.values()) revive(deployment);
    for (const deployment of store.state.deployments.values()) {
      const profile = deployment.phase === "ready" && deployment.wanted ? config.profileOf(deployment.contentId) : null;
      if (profile === null) {
        records.delete(deployment.id);
        finder.forget(deployment.id);
        continue;
      }
      const record = afterLook(records.get(deployment.id) ?? NOTHING_PROPOSED, safely(deployment, profile));
      records.set(deployment.id, record);
      propose(deployment, record.proposal);
    }
  }

  /** What was told to move by itself, and came to an end for want of a node, begins anew once the nodes that are there have changed. */
  function revive({ id, phase, wanted, asked, failure, model }: HeadedDeployment): void {
    const there = [...store.state.others].flatMap(([node, { state }]) => (state === "alive" ? [node] : [])).toSorted();
    const [before, now] = [seenAmong.get(id), there.join(" ")];
    seenAmong.set(id, now);
    const mayComeBack = phase === "failed" && wanted && failure !== null && MAY_COME_BACK.has(failure.code);
    if (!mayComeBack || asked.replan !== "auto" || before === undefined || before === now || moving) return;
    moving = true;
    void config
      .move(id)
      .then(() => config.log(`${model} begins anew on the nodes there are now`))
      .catch((error: unknown) => config.log(`${model} cannot begin anew yet: ${asClusterdError(error).message}`))
      .finally(() => (moving = false));
  }

  function safely(deployment: HeadedDeployment, profile: ModelProfile): ProposalView | null {
    try {
      return finder.find(store.state, deployment, profile);
    } catch {
      // Pinned to a node that is gone, for one: the control loop sees to that.
      return null;
    }
  }

  function propose(deployment: HeadedDeployment, proposal: ProposalView | null): void {
    const { id, model } = deployment;
    if (JSON.stringify(proposal) !== JSON.stringify(deployment.proposal)) {
      store.dispatch({ type: "deployment-proposal", id, proposal });
      if (proposal !== null && deployment.proposal === null)
        config.log(
          `${model} would be ${(proposal.gain * 100).toFixed(0)} % faster placed anew: clusterd load ${model} --replan now`,
        );
    }
    if (proposal !== null && deployment.asked.replan === "auto") void moveIfIdle(id, model);
  }

  async function moveIfIdle(id: DeploymentId, model: string): Promise<void> {
    if (moving || performance.now() < (notBefore.get(id) ?? 0)) return;
    moving = true;
    try {
      if (!(await config.isIdle(id))) return;
      config.log(`moving ${model} to a better placement`);
      await config.move(id);
    } catch (error) {
      notBefore.set(id, performance.now() + RETRY_MS);
      config.log(`${model} could not be moved: ${asClusterdError(error).message}`);
    } finally {
      moving = false;
    }
  }

  const timer = setInterval(look, LOOK_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
