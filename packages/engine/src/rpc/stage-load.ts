import { ClusterdError } from "@clusterd/wire";

export interface StageLoadOptions {
  /** Bytes of all the model's tensors, by name. */
  readonly weights: ReadonlyMap<string, number>;
  /** Names of those that must reach the stage. */
  readonly planned: ReadonlySet<string>;
  /** Names of those that the worker's node has itself. */
  readonly local: ReadonlySet<string>;
  /** Names of those that the head's own file does not hold: nothing but zeros would be sent. */
  readonly missing: ReadonlySet<string>;
}

/** Keeps the books of one stage's weights: which come from where, and whether all of them came. */
export interface StageLoad {
  isWeight(name: string): boolean;
  /** Whether the worker's node has it. */
  leaves(name: string): boolean;
  bytesOf(name: string): number | null;
  /** A weight is being sent: whether the worker puts it in itself. Throws `model_broken` where neither side has it. */
  take(name: string, offset: number, bytes: number): "inject" | "send";
  /** The worker has put one in. */
  injected(): void;
  readonly summary: StageLoadSummary;
  /** Throws where something that must be there has not come: zeros in its place would be silent nonsense. */
  assertComplete(): void;
}

export interface StageLoadSummary {
  readonly injectedTensors: number;
  readonly injectedBytes: number;
  readonly sentTensors: number;
  readonly sentBytes: number;
}

export function createStageLoad({ weights, planned, local, missing }: StageLoadOptions): StageLoad {
  const taken = new Set<string>();
  const sent = new Set<string>();
  let [left, done, injectedBytes, sentBytes] = [0, 0, 0, 0];
  return {
    isWeight: (name) => weights.has(name),
    leaves: (name) => local.has(name),
    bytesOf: (name) => weights.get(name) ?? null,
    take(name, offset, bytes) {
      if (local.has(name) && offset === 0 && bytes === weights.get(name)) {
        taken.add(name);
        left += 1;
        injectedBytes += bytes;
        return "inject";
      }
      if (missing.has(name)) {
        throw new ClusterdError("model_broken", `${name} is neither in the head's file nor in the worker's`, {
          next: "Put a whole copy of the model on one of the two.",
        });
      }
      sent.add(name);
      sentBytes += bytes;
      return "send";
    },
    injected() {
      done += 1;
    },
    get summary() {
      return { injectedTensors: done, injectedBytes, sentTensors: sent.size, sentBytes };
    },
    assertComplete() {
      if (done !== left)
        throw new ClusterdError("model_broken", `${left - done} of ${left} weights were not put in by the worker`);
      const lacking = [...planned].filter((name) => !taken.has(name) && !sent.has(name));
      if (lacking.length > 0) {
        const more = lacking.length > 1 ? ` and ${lacking.length - 1} more` : "";
        throw new ClusterdError("model_broken", `the engine never loaded ${lacking[0]}${more}`);
      }
    },
  };
}
