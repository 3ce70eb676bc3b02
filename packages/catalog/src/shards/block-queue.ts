import type { BlockSource } from "./fetch-blocks.ts";
import type { Block } from "./shard-layout.ts";

/** What is still to be fetched, and who fetches what next. */
export interface BlockQueue {
  /** Neither done nor given up. */
  readonly left: number;
  /** Of those, what nobody fetches at the moment. */
  readonly waiting: readonly Block[];
  /** The next block for a source, now taken by it; null where there is none for it yet. */
  take(source: BlockSource, alive: readonly BlockSource[], nowMs: number): Block | null;
  done(block: Block): void;
  giveBack(block: Block): void;
  /** Settles when something has changed, or after so long. */
  changed(ms: number, signal: AbortSignal): Promise<void>;
  wake(): void;
}

export interface BlockQueueOptions {
  readonly isOurs: (block: Block) => boolean;
  readonly patienceMs: number;
}

/** A queue over the missing blocks: the rarest first, a hub only for what members do not have or will not have soon. */
export function createBlockQueue(missing: readonly Block[], { isOurs, patienceMs }: BlockQueueOptions): BlockQueue {
  const waiting = new Set(missing);
  const taken = new Set<Block>();
  let wakeUps: (() => void)[] = [];
  /** Since when nothing of ours was left for the hub: others' shares are then waited for. */
  let patientSinceMs: number | null = null;

  const wake = (): void => {
    const all = wakeUps;
    wakeUps = [];
    for (const up of all) up();
  };

  function fromHub(alive: readonly BlockSource[], nowMs: number): Block | null {
    const members = alive.filter(({ kind }) => kind === "member");
    const open = [...waiting].filter((block) => !members.some((member) => member.has(block)));
    const ours = open.find(isOurs);
    if (ours !== undefined || members.length === 0) {
      patientSinceMs = null;
      return ours ?? open[0] ?? null;
    }
    if (open.length === 0) return null;
    patientSinceMs ??= nowMs;
    return nowMs - patientSinceMs >= patienceMs ? (open[0] ?? null) : null;
  }

  function fromMember(source: BlockSource, alive: readonly BlockSource[]): Block | null {
    let best: Block | null = null;
    let fewest = Infinity;
    for (const block of waiting) {
      if (!source.has(block)) continue;
      const holders = alive.filter((other) => other.kind === "member" && other.has(block)).length;
      if (holders >= fewest) continue;
      [best, fewest] = [block, holders];
      if (holders === 1) break;
    }
    return best;
  }

  return {
    get left() {
      return waiting.size + taken.size;
    },
    get waiting() {
      return [...waiting];
    },
    take(source, alive, nowMs) {
      const block = source.kind === "hub" ? fromHub(alive, nowMs) : fromMember(source, alive);
      if (block === null) return null;
      waiting.delete(block);
      taken.add(block);
      return block;
    },
    done(block) {
      taken.delete(block);
      // Somebody's patience was not for nothing.
      patientSinceMs = null;
      wake();
    },
    giveBack(block) {
      if (!taken.delete(block)) return;
      waiting.add(block);
      wake();
    },
    changed(ms, signal) {
      return new Promise((resolve) => {
        const timer = setTimeout(finish, ms);
        function finish(): void {
          clearTimeout(timer);
          signal.removeEventListener("abort", finish);
          resolve();
        }
        signal.addEventListener("abort", finish, { once: true });
        wakeUps.push(finish);
      });
    },
    wake,
  };
}
