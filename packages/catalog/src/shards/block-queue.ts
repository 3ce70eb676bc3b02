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
  /**
   * For a source that has nothing else to give: the block that another has been at for the longest, where that is longer than so many
   * milliseconds. Who is first with it has it; each block is taken twice at most.
   */
  takeAgain(source: BlockSource, lateMs: number, nowMs: number): Block | null;
  /** False where another has brought it before. */
  done(block: Block): boolean;
  giveBack(block: Block, source: BlockSource): void;
  /** Settles when something has changed, or after so long. */
  changed(ms: number, signal: AbortSignal): Promise<void>;
  wake(): void;
}

export interface BlockQueueOptions {
  readonly isOurs: (block: Block) => boolean;
  readonly patienceMs: number;
}

/** How long others' shares are waited for while they come: times `patienceMs`, and times what our own share took. */
const PATIENCES_MAX = 4;
const SHARES_WAITED = 2;
/** Nothing came for so many times what a block takes: over a slow source that is longer than our patience. */
const BLOCKS_WAITED = 2;

/**
 * A queue over the missing blocks: the rarest first, a hub only for what members do not have or will not have soon. What is taken from a
 * source that others share begins with our own share.
 */
export function createBlockQueue(missing: readonly Block[], { isOurs, patienceMs }: BlockQueueOptions): BlockQueue {
  const waiting = new Set(missing);
  const taken = new Map<Block, { readonly by: Set<BlockSource>; readonly sinceMs: number }>();
  /** No block that waits was had by fewer, when all were last looked at. */
  let fewestKnown = 1;
  let wakeUps: (() => void)[] = [];
  /** Since when nothing of ours is left at a shared source and nothing else has come: others' shares are then waited for. */
  let patientSinceMs: number | null = null;
  let begunMs: number | null = null;
  /** What the slowest block of late took, from being asked for. */
  let blockMs = 0;
  /** Since when nothing of ours is left at a shared source, whatever else comes. */
  let oursOverMs: number | null = null;

  const wake = (): void => {
    fewestKnown = 1;
    const all = wakeUps;
    wakeUps = [];
    for (const up of all) up();
  };

  const members = (alive: readonly BlockSource[]): readonly BlockSource[] => alive.filter(({ kind }) => kind === "member");

  /** What no member has, in order. */
  function fromHub(alive: readonly BlockSource[], wanted: (block: Block) => boolean): Block | null {
    const others = members(alive);
    for (const block of waiting) if (!others.some((member) => member.has(block)) && wanted(block)) return block;
    return null;
  }

  /** Of what a member has, that which the fewest others have. */
  function fromMember(source: BlockSource, alive: readonly BlockSource[], wanted: (block: Block) => boolean): Block | null {
    const others = members(alive);
    let best: Block | null = null;
    let fewest = Infinity;
    for (const block of waiting) {
      if (!source.has(block) || !wanted(block)) continue;
      const holders = others.filter((other) => other.has(block)).length;
      if (holders >= fewest) continue;
      [best, fewest] = [block, holders];
      // None is rarer: a large model's blocks are not all looked at for each one.
      if (holders <= fewestKnown) return best;
    }
    if (best !== null) fewestKnown = fewest;
    return best;
  }

  function next(source: BlockSource, alive: readonly BlockSource[], nowMs: number): Block | null {
    const pick = (wanted: (block: Block) => boolean): Block | null =>
      source.kind === "hub" ? fromHub(alive, wanted) : fromMember(source, alive, wanted);
    if (source.kind === "member" && source.isShared?.() !== true) return pick(() => true);
    begunMs ??= nowMs;
    const ours = pick(isOurs);
    if (ours !== null) {
      patientSinceMs = null;
      oursOverMs = null;
      return ours;
    }
    const theirs = (): Block | null => pick(() => true);
    if (members(alive).length === 0) return theirs();
    // Looked at after each block by all who wait: whether there is any, which is soon found, not yet which one.
    if (!(source.kind === "hub" ? fromHub(alive, () => true) !== null : hasAny(source))) return null;
    patientSinceMs ??= nowMs;
    oursOverMs ??= nowMs;
    // Where something comes all the time, but slowly: as long again as our own share took, and once more.
    const patience = Math.max(PATIENCES_MAX * patienceMs, SHARES_WAITED * (oursOverMs - begunMs));
    const nothingFor = nowMs - patientSinceMs;
    const isOver = nothingFor >= Math.max(patienceMs, BLOCKS_WAITED * slowestMs(nowMs)) || nowMs - oursOverMs >= patience;
    return isOver ? theirs() : null;
  }

  /** What a block takes: of those that have come of late, or the one that is longest on its way. */
  function slowestMs(nowMs: number): number {
    const [oldest] = taken.values();
    return Math.max(blockMs, oldest === undefined ? 0 : nowMs - oldest.sinceMs);
  }

  function hasAny(source: BlockSource): boolean {
    for (const block of waiting) if (source.has(block)) return true;
    return false;
  }

  return {
    get left() {
      return waiting.size + taken.size;
    },
    get waiting() {
      return [...waiting];
    },
    take(source, alive, nowMs) {
      const block = next(source, alive, nowMs);
      if (block === null) return null;
      waiting.delete(block);
      taken.set(block, { by: new Set([source]), sinceMs: nowMs });
      return block;
    },
    takeAgain(source, lateMs, nowMs) {
      // In the order in which they were taken.
      for (const [block, { by, sinceMs }] of taken) {
        if (nowMs - sinceMs < lateMs) return null;
        if (by.size > 1 || by.has(source) || !source.has(block)) continue;
        by.add(source);
        return block;
      }
      return null;
    },
    done(block) {
      // Somebody's patience was not for nothing.
      patientSinceMs = null;
      const since = taken.get(block)?.sinceMs;
      if (since !== undefined) blockMs = Math.max(performance.now() - since, (blockMs * 3) / 4);
      return taken.delete(block);
    },
    giveBack(block, source) {
      const by = taken.get(block)?.by;
      if (by === undefined || !by.delete(source) || by.size > 0) return;
      taken.delete(block);
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
