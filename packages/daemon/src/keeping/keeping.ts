import { statfs } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { chooseEvictions, shortage, wholeDiskBytes, type Catalog, type ModelFile, type ShardStore } from "@clusterd/catalog";
import { asClusterdError, type ContentId, type DiskView } from "@clusterd/wire";
import type { Store } from "../state/store.ts";
import { keptHere, type Kept } from "./kept-here.ts";
import { neededParts } from "./needed-parts.ts";
import { noRoom } from "./no-room.ts";
import type { NeededPart, UseBook } from "./use-book.ts";

/** What stays free on the disk besides what is fetched. */
export const DISK_RESERVE_BYTES: number = 64 * 1024 * 1024;
/** Between two looks at the disk. */
const LOOK_MS = 10_000;
/** A change of free room that is not worth telling to all members. */
const FREE_CHANGE_BYTES: number = 64 * 1024 * 1024;
/** What is given back is less than it was counted for where a file system keeps larger blocks: looked at again so often. */
const ROUNDS_MAX = 4;
/** After the start the members' deployments are not all known yet: so long nothing is given back. */
const SETTLE_MS = 10_000;

export interface KeepingConfig {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly shards: ShardStore;
  readonly modelsDir: string;
  readonly capBytes: number | null;
  readonly uses: UseBook;
  usedAt(key: string): number | null;
  /** What is deployed is in use all the time. */
  used(contentId: ContentId): void;
  /** A model's whole file is about to go. */
  close(contentId: ContentId): Promise<void>;
  /** Models or parts of them came or went. */
  changed(): void;
  /** Something was given back to the disk to make room. */
  onEvicted(evicted: { readonly model: string; readonly what: string; readonly bytes: number }): void;
  log(message: string): void;
  /** How long after the start nothing is given back; absent: as it is usual. Milliseconds. */
  readonly settleMs?: number;
  readonly signal: AbortSignal;
}

/** How much of the disk models take, and what goes where room is short. */
export interface Keeping extends AsyncDisposable {
  /** Gives back what nothing needs, least recently used first, until `bytes` more fit; throws `does_not_fit`, and gives back nothing, where they would not. */
  makeRoom(bytes: number, what: string): Promise<void>;
  /** What the deployments, and what is fetched or read now, need of the models here. */
  needed(): readonly NeededPart[];
  /** Of these, what is fetched or read at this very moment. */
  busy(): readonly NeededPart[];
  /** What a listed file takes on this disk, as far as it was looked at. */
  diskBytesOf(file: ModelFile): number | null;
  /** Looks at the disk anew and tells. */
  look(): Promise<void>;
}

export function createKeeping(config: KeepingConfig): Keeping {
  const { store, catalog, capBytes, uses, modelsDir } = config;
  const settledAtMs = performance.now() + (config.settleMs ?? SETTLE_MS);
  /** One after the other: each counts on what is there. */
  let last: Promise<void> = Promise.resolve();
  let sizes = new Map<string, number>();

  const needed = (): readonly NeededPart[] => [...neededParts(store.state), ...uses.held];
  const pulls = (): NonNullable<typeof store.state.own.pulls> => store.state.own.pulls ?? [];
  const measure = (): ReturnType<typeof keptHere> => keptHere({ ...config, needed, pulls });

  async function disk(): Promise<{ readonly totalBytes: number; readonly freeBytes: number } | null> {
    const found = await statfs(modelsDir).catch(() => null);
    return found === null ? null : { totalBytes: found.blocks * found.bsize, freeBytes: found.bavail * found.bsize };
  }
  /** What pulls and fetches under way have still to write. */
  function promised(): number {
    const parts = uses.comingParts;
    const isPart = (ref: string): boolean => {
      const name = ref.trim().replace(/^hf:/u, "").toLowerCase();
      return parts.some(({ model }) => model.toLowerCase() === name || model.toLowerCase().startsWith(`${name}:`));
    };
    // A pull that comes in blocks, from members, is told of among these.
    const whole = pulls().filter(({ ref }) => !isPart(ref));
    return [
      ...parts.map(({ bytes }) => bytes),
      ...whole.map(({ doneBytes, totalBytes }) => Math.max(0, totalBytes - doneBytes)),
    ].reduce((sum, bytes) => sum + bytes, 0);
  }

  async function evict(one: Kept, why: string): Promise<void> {
    await one.give();
    config.log(`${one.what} is given back to the disk (${one.bytes} bytes): ${why}`);
    config.onEvicted({ model: one.model, what: one.what, bytes: one.bytes });
  }

  async function makeRoomNow(bytes: number, what: string): Promise<void> {
    let gave = false;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const { kept, usedBytes } = await measure();
      const here = await disk();
      const question = {
        bytesNeeded: bytes,
        bytesPromised: promised(),
        freeBytes: here?.freeBytes ?? null,
        reserveBytes: DISK_RESERVE_BYTES,
        usedBytes,
        capBytes,
      };
      if (shortage(question).bytes === 0) break;
      const choice = chooseEvictions(question, kept);
      if (!("evict" in choice)) throw noRoom(what, question, choice, modelsDir);
      const waitMs = settledAtMs - performance.now();
      if (waitMs > 0) {
        await pause(waitMs, undefined, { signal: config.signal });
        // By now more may be in use.
        round -= 1;
        continue;
      }
      for (const one of choice.evict) await evict(one, `${what} needs the room`);
      gave = true;
    }
    if (!gave) return;
    config.changed();
    void lookOnce();
  }

  async function look(): Promise<void> {
    for (const { contentId } of neededParts(store.state)) config.used(contentId);
    const { usedBytes } = await measure();
    const here = await disk();
    const found = new Map<string, number>();
    for (const { file } of catalog.list()) found.set(file.path, await wholeDiskBytes(file.parts));
    const isNews = catalog.list().some(({ file }) => sizes.get(file.path) !== found.get(file.path));
    sizes = found;
    if (isNews) config.changed();
    const view: DiskView | null = here === null ? null : { ...here, usedBytes, capBytes };
    if (isWorthTelling(store.state.own.disk ?? null, view)) store.dispatch({ type: "own", facts: { disk: view } });
    // A limit that is lower than it was, or a fetch that took more than it said.
    if (capBytes !== null && usedBytes > capBytes && performance.now() > settledAtMs)
      await keeping.makeRoom(0, "the limit of --disk");
  }

  let looking: Promise<void> | null = null;
  const lookOnce = (): Promise<void> => {
    looking ??= look()
      .catch((error: unknown) => {
        const { message } = asClusterdError(error);
        if (!config.signal.aborted && message !== told) config.log(message);
        told = message;
      })
      .finally(() => (looking = null));
    return looking;
  };
  let told = "";
  const timer = setInterval(() => void lookOnce(), LOOK_MS);
  const unsubscribe = store.subscribe((state) => {
    if (uses.hasSoon) uses.deployed(neededParts(state));
  });

  const keeping: Keeping = {
    makeRoom(bytes, what) {
      const now = last.catch(() => undefined).then(() => makeRoomNow(bytes, what));
      last = now;
      return now;
    },
    needed,
    busy: () => uses.busy,
    diskBytesOf: ({ path }) => sizes.get(path) ?? null,
    look: lookOnce,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      unsubscribe();
      await looking;
      await last.catch(() => undefined);
    },
  };
  void lookOnce();
  return keeping;
}

function isWorthTelling(before: DiskView | null, now: DiskView | null): boolean {
  if (before === null || now === null) return before !== now;
  return (
    before.usedBytes !== now.usedBytes ||
    before.capBytes !== now.capBytes ||
    Math.abs(before.freeBytes - now.freeBytes) >= FREE_CHANGE_BYTES
  );
}
