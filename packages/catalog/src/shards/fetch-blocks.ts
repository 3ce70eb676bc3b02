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
}

/** Errors in a row after which a source is given up. */
const ERRORS_MAX = 4;
const FIRST_PAUSE_MS = 250;
const REFRESH_MS = 1_000;
const PATIENCE_MS = 5_000;
const RECORD_MS = 1_000;

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
    options.onDropped(source, why, message);
  }

  async function worker(source: BlockSource): Promise<void> {
    let errors = 0;
    while (alive.has(source) && !ended.aborted && queue.left > 0) {
      const block = queue.take(source, [...alive], performance.now());
      if (block === null) {
        await queue.changed(options.refreshMs ?? REFRESH_MS, ended);
        continue;
      }
      try {
        const bytes = await source.read(block, ended);
        const told = shard.digest(block) ?? (await options.expected?.(block, source, ended, bytes)) ?? null;
        if (told !== null) shard.expect(block, told);
        await shard.put(block, bytes);
        freeNow(bytes);
        queue.done(block);
        errors = 0;
        onProgress((doneBytes += block.bytes), totalBytes);
      } catch (error) {
        queue.giveBack(block);
        if (ended.aborted) return;
        if (error instanceof WrongBytes) return drop(source, "lied", `${source.name} sent wrong bytes (${error.message}).`);
        const { code, message } = asClusterdError(error);
        if (code === "does_not_fit" || code === "model_broken") throw error;
        errors += 1;
        if (errors >= ERRORS_MAX) return drop(source, "failed", `${source.name} failed: ${message}`);
        await pause(FIRST_PAUSE_MS * 2 ** (errors - 1), undefined, { signal: ended }).catch(() => undefined);
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
    for (const source of options.sources) join(source);
    const failed = watchForNobody();
    await Promise.race([idle(), failed.promise]).finally(failed.stop);
    signal.throwIfAborted();
    if (queue.left > 0) throw nobody();
  } finally {
    end.abort();
    clearInterval(refresher);
    clearInterval(recorder);
    await shard.record();
  }

  function join(source: BlockSource): void {
    if (ended.aborted) return;
    alive.add(source);
    for (let count = 0; count < source.connections; count++) {
      const work = worker(source);
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
