import { setTimeout as pause } from "node:timers/promises";
import { asClusterdError, ClusterdError } from "@clusterd/wire";
import { createBlockQueue } from "./block-queue.ts";
import { freeNow } from "./own-memory.ts";
import { WrongBytes, type ShardFile } from "./shard-file.ts";
import type { Block } from "./shard-layout.ts";

/** Who has blocks of a model. */
export interface BlockSource {
  readonly name: string;
  /** A hub is asked for what no member has, or is about to have. */
  readonly kind: "member" | "hub";
  /** Blocks asked for at a time. */
  readonly connections: number;
  has(block: Block): boolean;
  /** In memory of its own, that is given back once the block is written. */
  read(block: Block, signal: AbortSignal): Promise<Buffer>;
  /** Learns anew which blocks it has, where that may have grown; called now and then while there is something to wait for. */
  refresh?(signal: AbortSignal): Promise<void>;
  /** Whether other nodes fetch the same from it: each then takes its own share there. A hub always is. */
  isShared?(): boolean;
  /** Whether it may come to have more; absent: wherever it can be refreshed. */
  mayGrow?(): boolean;
}

export interface FetchBlocksOptions {
  readonly shard: ShardFile;
  readonly wanted: readonly Block[];
  readonly sources: readonly BlockSource[];
  /** Sources that have come since it was asked last, asked with every refresh. */
  readonly newcomers?: () => readonly BlockSource[];
  readonly signal: AbortSignal;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  /** A source that lied or failed is asked no more; told once of each. */
  readonly onDropped: (source: BlockSource, why: "lied" | "failed", message: string) => void;
  /** What a block from a source must be by someone who is trusted more; null: nobody else has it. */
  readonly expected?: (block: Block, source: BlockSource, signal: AbortSignal, bytes: Buffer) => Promise<string | null>;
  /** Of what several nodes want from one hub, what this one takes first: the others then have it from here. */
  readonly isOurs?: (block: Block) => boolean;
  /** How long another node's share is left to it. Milliseconds. */
  readonly patienceMs?: number;
  readonly refreshMs?: number;
  /** After how long a block is asked of another as well, where that has nothing else to do. */
  readonly lateMs?: number;
}

/** How it goes with a source. */
interface Standing {
  /** Blocks asked for. */
  open: number;
  /** Failures without a success between them; those of one moment are one. */
  errors: number;
  failedMs: number;
  /** What a block has taken of late. */
  blockMs: number;
}

/** Errors in a row after which a source is given up. */
const ERRORS_MAX = 4;
const FIRST_PAUSE_MS = 250;
const REFRESH_MS = 1_000;
const PATIENCE_MS = 5_000;
const RECORD_MS = 1_000;
/** Blocks in memory that are asked for, or being verified and written: 128 MiB. Sources share them, with one for each at least. */
const BLOCKS_MAX = 16;
/** A source that is at a block for longer than this, and than another with nothing to do takes for two, is not waited for. */
const LATE_MS = 20_000;
const LATE_MULTIPLE = 2;

/**
 * Fetches blocks from all who have them at once: the rarest first, from members before hubs. What comes is verified before it counts; who
 * sends something else is dropped by name. Throws where nobody is left who has what is missing; what came by then is kept.
 */
export async function fetchBlocks(options: FetchBlocksOptions): Promise<void> {
  const { shard, wanted, signal, onProgress } = options;
  const missing = wanted.filter((block) => !shard.has(block));
  const totalBytes = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  let doneBytes = totalBytes - missing.reduce((sum, { bytes }) => sum + bytes, 0);
  onProgress(doneBytes, totalBytes);
  if (missing.length === 0) return;
  const queue = createBlockQueue(missing, {
    isOurs: options.isOurs ?? (() => true),
    patienceMs: options.patienceMs ?? PATIENCE_MS,
  });
  const alive = new Set<BlockSource>();
  const workers = new Set<Promise<void>>();
  const reasons: string[] = [];
  const end = new AbortController();
  const ended = AbortSignal.any([signal, end.signal]);

  function drop(source: BlockSource, why: "lied" | "failed", message: string): void {
    if (!alive.delete(source)) return;
    reasons.push(message);
    queue.wake();
    options.onDropped(source, why, message);
  }

  const room = (): number => Math.max(1, Math.floor(BLOCKS_MAX / Math.max(1, alive.size)));

  function nextBlock(source: BlockSource, { open, blockMs }: Standing): Block | null {
    if (open >= room()) return null;
    const nowMs = performance.now();
    const lateMs = Math.max(options.lateMs ?? LATE_MS, LATE_MULTIPLE * blockMs);
    return queue.take(source, [...alive], nowMs) ?? (open === 0 ? queue.takeAgain(source, lateMs, nowMs) : null);
  }

  async function fetchOne(source: BlockSource, block: Block): Promise<void> {
    const bytes = await source.read(block, ended);
    if (!shard.has(block)) {
      const told = shard.digest(block) ?? (await options.expected?.(block, source, ended, bytes)) ?? null;
      if (told !== null) shard.expect(block, told);
      await shard.put(block, bytes);
    }
    freeNow(bytes);
    if (!queue.done(block)) return;
    onProgress((doneBytes += block.bytes), totalBytes);
    // Who is still at a block that another has brought stops.
    if (queue.left === 0) end.abort();
  }

  async function worker(source: BlockSource, standing: Standing): Promise<void> {
    while (alive.has(source) && !ended.aborted && queue.left > 0) {
      const block = nextBlock(source, standing);
      if (block === null) {
        await queue.changed(options.refreshMs ?? REFRESH_MS, ended);
        continue;
      }
      const beganMs = performance.now();
      standing.open += 1;
      try {
        await fetchOne(source, block);
        standing.errors = 0;
        standing.blockMs = performance.now() - beganMs;
      } catch (error) {
        queue.giveBack(block, source);
        if (ended.aborted) return;
        if (error instanceof WrongBytes) return drop(source, "lied", `${source.name} sent wrong bytes (${error.message}).`);
        const { code, message } = asClusterdError(error);
        if (code === "does_not_fit" || code === "model_broken") throw error;
        // A connection that breaks fails all that was asked on it.
        if (performance.now() - standing.failedMs >= FIRST_PAUSE_MS) standing.errors += 1;
        standing.failedMs = performance.now();
        if (standing.errors >= ERRORS_MAX) return drop(source, "failed", `${source.name} failed: ${message}`);
        await pause(FIRST_PAUSE_MS * 2 ** (standing.errors - 1), undefined, { signal: ended }).catch(() => undefined);
      } finally {
        standing.open -= 1;
      }
    }
  }

  const refresher = setInterval(() => {
    for (const source of options.newcomers?.() ?? []) join(source);
    for (const source of alive)
      void source.refresh?.(ended).then(
        () => queue.wake(),
        () => undefined,
      );
  }, options.refreshMs ?? REFRESH_MS);
  const recorder = setInterval(() => void shard.record().catch(() => undefined), RECORD_MS);
  try {
    // All before the first begins: they share the room for blocks.
    for (const source of options.sources) alive.add(source);
    for (const source of options.sources) join(source);
    const failed = watchForNobody();
    await Promise.race([idle(), failed.promise]).finally(failed.stop);
    signal.throwIfAborted();
    if (queue.left > 0) throw nobody();
    await shard.record();
  } finally {
    end.abort();
    clearInterval(refresher);
    clearInterval(recorder);
    // Also what came before a failure stays: its own failure is not the news.
    await shard.record().catch(() => undefined);
  }

  function join(source: BlockSource): void {
    if (ended.aborted) return;
    alive.add(source);
    const standing: Standing = { open: 0, errors: 0, failedMs: -Infinity, blockMs: 0 };
    for (let count = 0; count < source.connections; count++) {
      const work = worker(source, standing);
      workers.add(work);
      // A failure is told by whoever waits for all of them.
      void work.catch(() => undefined);
    }
  }

  /** Settles when all workers have, those included that joined meanwhile. */
  async function idle(): Promise<void> {
    for (let seen = -1; seen !== workers.size;) {
      seen = workers.size;
      await Promise.all(workers);
    }
  }

  /** Settles (rejecting) once no source that is left has, or may come to have, what is missing. */
  function watchForNobody(): { readonly promise: Promise<never>; stop(): void } {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setInterval(() => {
      const hopeful = [...alive].some((source) => source.mayGrow?.() ?? source.refresh !== undefined);
      if (!hopeful && queue.waiting.some((block) => ![...alive].some((source) => source.has(block)))) reject(nobody());
    }, FIRST_PAUSE_MS);
    promise.catch(() => undefined);
    return { promise, stop: () => clearInterval(timer) };
  }

  function nobody(): ClusterdError {
    const bytes = queue.waiting.reduce((sum, block) => sum + block.bytes, 0);
    const why = reasons.length === 0 ? "" : ` ${reasons.join(" ")}`;
    return new ClusterdError("shards_unreachable", `Nobody who can be reached has ${bytes} bytes of this model.${why}`, {
      next: "What came is kept: it goes on from there once someone has the rest.",
      details: { missingBytes: bytes },
    });
  }
}
