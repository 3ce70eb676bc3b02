import type { DeploymentId, QueueView } from "@clusterd/wire";

const DEPLOYMENTS_MAX = 1_024;

/**
 * How much a deployment has to do now. What its head tells is as old as a second, and has this node's own requests of then in it: what
 * remains of it are the others', to which this node's own of now are added.
 */
export interface WorkEstimates {
  /** `told`: the head's latest word, another object each time; `own`: this node's requests there now. */
  of(deployment: DeploymentId, told: QueueView, own: number): number;
  /** This node has sent one more. */
  sent(deployment: DeploymentId, own: number): void;
}

export function createWorkEstimates(): WorkEstimates {
  interface Known {
    readonly told: QueueView;
    readonly others: number;
    /** The most of this node's own since then: whichever of them the next word counts, it counts no more. */
    peak: number;
  }
  const all = new Map<DeploymentId, Known>();
  return {
    of(deployment, told, own) {
      let known = all.get(deployment);
      if (known === undefined || known.told !== told) {
        const others = Math.max(0, told.active + told.waiting - Math.max(known?.peak ?? 0, own));
        known = { told, others, peak: own };
        all.delete(deployment);
        all.set(deployment, known);
        const [oldest] = all.keys();
        if (all.size > DEPLOYMENTS_MAX && oldest !== undefined) all.delete(oldest);
      }
      return known.others + own;
    },
    sent(deployment, own) {
      const known = all.get(deployment);
      if (known !== undefined) known.peak = Math.max(known.peak, own);
    },
  };
}
