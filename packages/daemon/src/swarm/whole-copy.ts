import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import {
  bytesOf,
  type BlockSource,
  type PullProgress,
  type SettledModel,
  type ShardFile,
  type ShardHeaders,
} from "@clusterd/catalog";
import type { ContentId } from "@clusterd/wire";
import { WHOLE, type UseBook } from "../keeping/use-book.ts";
import { openSwarm, type SwarmConfig } from "./swarm.ts";

const READ_BYTES: number = 4 * 1024 * 1024;
/** Nodes that begin within so long of each other know of each other before the first block. Milliseconds. */
const SETTLE_MS = 1_000;

export interface WholeCopyConfig extends SwarmConfig {
  readonly uses: UseBook;
}

export interface WholeCopyWish {
  readonly contentId: ContentId;
  /** Its id: `OWNER/REPO:QUANT` of one that a hub has. */
  readonly model: string;
  /** Null: the members alone have it. */
  readonly hub: { readonly source: BlockSource; readonly headers: ShardHeaders } | null;
  /** What the hub says of each part, hex; null where nobody says. */
  readonly sha256: (part: number) => string | null;
  /** Where the parts are to lie. */
  targets(names: readonly string[]): readonly string[];
  /** How the plain file is called; null: by its name. */
  readonly id: string | null;
  /** Told the digests of all parts before they get their names. */
  record?(sha256: readonly string[]): Promise<void>;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PullProgress) => void;
}

export interface WholeCopy extends SettledModel {
  /** Of each part, hex. */
  readonly sha256: readonly string[];
  readonly bytes: number;
}

/**
 * Fetches all of a model, from members first, beside what is here of it already, and makes a plain file of it. Null where its bytes are not
 * what the hub says: nothing of them is kept then. Throws as {@link fetchBlocks}; what came is kept, and it goes on from there.
 */
export async function copyWhole(config: WholeCopyConfig, wish: WholeCopyWish): Promise<WholeCopy | null> {
  const { shards, store, uses, log } = config;
  const { contentId, model, hub, signal } = wish;
  await using stack = new AsyncDisposableStack();
  stack.use(uses.hold(contentId, WHOLE));
  const hasOthers = [...store.state.others.values()].some(({ state }) => state === "alive");
  const swarm = stack.use(
    openSwarm(config, {
      contentId,
      model,
      root: null,
      named: [],
      hub: hub?.source ?? null,
      wish: WHOLE,
      settleMs: hasOthers ? SETTLE_MS : 0,
      signal,
    }),
  );
  const shard =
    (await shards.get(contentId)) ??
    (await shards.begin(contentId, { ...(hub?.headers ?? (await swarm.headers())), model, isReadyLater: true }, signal));
  // Of all bytes: what lies before the weights is here by now.
  const fileBytes = shard.layout.parts.reduce((sum, part) => sum + part.fileBytes, 0);
  const headerBytes = fileBytes - bytesOf(shard.layout.blocks);
  const targets = wish.targets(shard.names);
  const from = await swarm.fetch(shard, `all of ${model}`, (doneBytes) =>
    wish.onProgress({ step: "fetching", doneBytes: headerBytes + doneBytes, totalBytes: fileBytes }),
  );
  await shard.record();
  const sha256 = await digestsOf(shard, fileBytes, wish);
  const wrong = sha256.findIndex((digest, part) => (wish.sha256(part) ?? digest) !== digest);
  if (wrong >= 0) {
    const names = from.size === 0 ? "an earlier fetch" : [...from.keys()].join(" and ");
    log(
      `${shard.names[wrong]} of ${model} came with other bytes than the hub says it has, from ${names}: nothing of it is kept.`,
    );
    await shards.remove(contentId);
    return null;
  }
  await wish.record?.(sha256);
  const settled = await shards.settle(contentId, targets, wish.id);
  return { ...settled, sha256, bytes: fileBytes };
}

async function digestsOf(
  shard: ShardFile,
  totalBytes: number,
  { signal, onProgress }: WholeCopyWish,
): Promise<readonly string[]> {
  const digests: string[] = [];
  let doneBytes = 0;
  for (const path of shard.paths) {
    const hash = createHash("sha256");
    for await (const piece of createReadStream(path, { highWaterMark: READ_BYTES, signal }) as AsyncIterable<Buffer>) {
      hash.update(piece);
      onProgress({ step: "verifying", doneBytes: (doneBytes += piece.length), totalBytes });
    }
    digests.push(hash.digest("hex"));
  }
  return digests;
}
