import { ClusterdError } from "@clusterd/wire";
import { BadFrame } from "./protocol.ts";

/** Bytes of weights that are left to the worker and not put in yet, before the head has to wait: its progress is then the truth. */
const AHEAD_BYTES_MAX: number = 512 * 1024 * 1024;

export interface StageLoadOptions {
  /** Bytes of all the model's tensors, by name. */
  readonly weights: ReadonlyMap<string, number>;
  /** Names of the weights of each layer that the stage is to hold. */
  readonly layers: readonly (readonly string[])[];
  /** Names of those that the worker's node has itself. */
  readonly local: ReadonlySet<string>;
  /** FNV-1a (16 hexadecimal digits) of further ones that it has: theirs are left to it where the head's have the same. */
  readonly hashed?: ReadonlyMap<string, string>;
  /** Names of those that the head's own file does not hold: nothing but zeros would be sent. */
  readonly missing: ReadonlySet<string>;
}

/** Keeps the books of one stage's weights: which come from where, and whether all of them came. */
export interface StageLoad {
  isWeight(name: string): boolean;
  /** Whether the worker's node has it; `fnv1a`: what the head's engine says of its bytes, or null where it says nothing. */
  leaves(name: string, fnv1a: string | null): boolean;
  bytesOf(name: string): number | null;
  /** A weight is being sent: whether the worker puts it in itself. Throws `model_broken` where neither side has it. */
  take(name: string, offset: number, bytes: number): "inject" | "send";
  /** Null, or what to wait for before more is left to the worker. */
  room(): Promise<void> | null;
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

export function createStageLoad({ weights, layers, local, hashed, missing }: StageLoadOptions): StageLoad {
  /** Of the hashed ones those whose bytes are the head's. */
  const alike = new Set<string>();
  const taken = new Set<string>();
  const sent = new Set<string>();
  /** Bytes of the weights that the worker has still to put in, in order. */
  const ahead: number[] = [];
  let [aheadBytes, done, injectedBytes, sentBytes] = [0, 0, 0, 0];
  let waiting: PromiseWithResolvers<void> | null = null;
  /** Whether there is too much before the latest one; by itself it may be as large as it is. */
  const crowded = (): boolean => aheadBytes - (ahead.at(-1) ?? 0) > AHEAD_BYTES_MAX;
  return {
    isWeight: (name) => weights.has(name),
    leaves(name, fnv1a) {
      if (fnv1a !== null && hashed?.get(name) === fnv1a) alike.add(name);
      return local.has(name) || alike.has(name);
    },
    bytesOf: (name) => weights.get(name) ?? null,
    take(name, offset, bytes) {
      if ((local.has(name) || alike.has(name)) && offset === 0 && bytes === weights.get(name)) {
        taken.add(name);
        ahead.push(bytes);
        aheadBytes += bytes;
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
    room() {
      if (!crowded()) return null;
      waiting ??= Promise.withResolvers();
      return waiting.promise;
    },
    injected() {
      const bytes = ahead.shift();
      if (bytes === undefined) throw new BadFrame("a weight put in that was not left to the worker");
      done += 1;
      aheadBytes -= bytes;
      injectedBytes += bytes;
      if (crowded() || waiting === null) return;
      waiting.resolve();
      waiting = null;
    },
    get summary() {
      return { injectedTensors: done, injectedBytes, sentTensors: sent.size, sentBytes };
    },
    assertComplete() {
      if (ahead.length > 0)
        throw new ClusterdError(
          "model_broken",
          `${ahead.length} of ${ahead.length + done} weights were not put in by the worker`,
        );
      for (const names of layers) {
        const lacking = names.filter((name) => !taken.has(name) && !sent.has(name));
        // An engine leaves out weights it has no use for. Where the head's file has a hole, one that came under another name is nothing.
        if (lacking.length > 0 && (lacking.length === names.length || lacking.some((name) => missing.has(name)))) {
          const more = lacking.length > 1 ? ` and ${lacking.length - 1} more of its layer` : "";
          throw new ClusterdError("model_broken", `the engine never loaded ${lacking[0]}${more}`);
        }
      }
    },
  };
}
