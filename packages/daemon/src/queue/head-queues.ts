import { ClusterdError, type DeploymentId, type QueueView } from "@clusterd/wire";
import type { HeadedDeployment } from "../state/daemon-state.ts";
import type { Store } from "../state/store.ts";
import { FIGURES_MS } from "./limits.ts";
import { createTurnQueue, type Turn, type TurnQueue, type TurnRequest } from "./turn-queue.ts";

/** The queues of the deployments that this node heads. They outlive their engines: who waits while one restarts goes on waiting. */
export interface HeadQueues extends Disposable {
  /** Waits for a turn with a deployment's engine; rejects as `TurnQueue.enter`, and where this node does not head it. */
  enter(deployment: DeploymentId, request: TurnRequest): Promise<Turn>;
  retryAfterSeconds(deployment: DeploymentId): number;
  /** Requests with a turn or waiting for one. */
  workOf(deployment: DeploymentId): number;
  /** Requests that have come for a deployment since it is headed here. */
  entriesOf(deployment: DeploymentId): number;
}

export interface HeadQueuesConfig {
  readonly store: Store;
  /** Whether a deployment's engine is up here. */
  isUp(deployment: DeploymentId): boolean;
}

export function createHeadQueues({ store, isUp }: HeadQueuesConfig): HeadQueues {
  const queues = new Map<DeploymentId, TurnQueue>();
  const entries = new Map<DeploymentId, number>();
  const changed = new Set<DeploymentId>();
  let timer: NodeJS.Timeout | undefined;
  let toldMs = -Infinity;

  /** Told together and seldom: every member hears of it. */
  function tellFigures(): void {
    timer = undefined;
    toldMs = performance.now();
    for (const id of changed) {
      const known = store.state.deployments.get(id);
      const queue = queues.get(id)?.figures;
      if (known !== undefined && queue !== undefined && !same(known.queue, queue)) {
        store.dispatch({ type: "deployment-queue", id, queue });
      }
    }
    changed.clear();
  }

  function onChange(id: DeploymentId): void {
    changed.add(id);
    timer ??= setTimeout(tellFigures, Math.max(0, toldMs + FIGURES_MS - performance.now()));
  }

  function queueOf(deployment: HeadedDeployment): TurnQueue {
    const { id } = deployment;
    const known = queues.get(id);
    if (known !== undefined) return known;
    const queue = createTurnQueue({ slots: slotsOf(deployment), onChange: () => onChange(id) });
    queues.set(id, queue);
    return queue;
  }

  const slotsOf = ({ id, placement }: HeadedDeployment): number => (isUp(id) ? placement.slots : 0);

  function follow(): void {
    for (const [id, queue] of queues) {
      const deployment = store.state.deployments.get(id);
      const over = deployment === undefined ? "was ended" : endOf(deployment);
      if (deployment !== undefined) queue.setSlots(slotsOf(deployment));
      if (over !== null) queue.refuseAll(new ClusterdError("shards_unreachable", `The model that was waited for ${over}.`));
      if (deployment !== undefined) continue;
      queue[Symbol.dispose]();
      queues.delete(id);
      entries.delete(id);
    }
  }

  const unsubscribe = store.subscribe((_, event) => {
    if (event.type.startsWith("deployment-") && event.type !== "deployment-queue") follow();
  });

  return {
    async enter(id, request) {
      const deployment = store.state.deployments.get(id);
      if (deployment === undefined) throw new ClusterdError("shards_unreachable", "This node does not run that deployment.");
      if (!deployment.wanted || !isUp(id)) throw new ClusterdError("shards_unreachable", "The engine is not up.");
      entries.set(id, (entries.get(id) ?? 0) + 1);
      return queueOf(deployment).enter(request);
    },
    retryAfterSeconds: (id) => queues.get(id)?.retryAfterSeconds ?? 1,
    workOf(id) {
      const { active, waiting } = queues.get(id)?.figures ?? { active: 0, waiting: 0 };
      return active + waiting;
    },
    entriesOf: (id) => entries.get(id) ?? 0,
    [Symbol.dispose]() {
      unsubscribe();
      clearTimeout(timer);
      for (const queue of queues.values()) {
        queue.refuseAll(
          new ClusterdError("interrupted", "This node is shutting down.", { next: "Ask another node of the cluster." }),
        );
        queue[Symbol.dispose]();
      }
      queues.clear();
    },
  };
}

function endOf({ wanted, phase, failure }: HeadedDeployment): string | null {
  if (!wanted) return "was ended";
  return phase === "failed" ? `cannot be run: ${failure?.message ?? "it failed"}` : null;
}

function same(a: QueueView, b: QueueView): boolean {
  return a.active === b.active && a.waiting === b.waiting && a.limit === b.limit;
}
