import { setTimeout as pause } from "node:timers/promises";
import {
  blocksFor,
  bytesOf,
  fetchBlocks,
  hashBlock,
  type Block,
  type BlockSource,
  type FetchBlocksOptions,
  type ShardFile,
  type ShardHeaders,
  type ShardStore,
  type ShardWish,
} from "@clusterd/catalog";
import { ClusterdError, type ContentId, type NodeId } from "@clusterd/wire";
import { hasWhole } from "../planning/model-places.ts";
import type { UseBook } from "../keeping/use-book.ts";
import type { Store } from "../state/store.ts";
import { NO_WORDS, type ManifestWord, type ManifestWords } from "../weights/manifest-words.ts";
import type { Manifests } from "../weights/manifests.ts";
import type { MemberWeights } from "../weights/member-weights.ts";
import { inOwnOrder } from "./block-share.ts";
import type { Distrust } from "./distrust.ts";
import type { HeldParts } from "./held-parts.ts";
import { judge, type Juror } from "./jury.ts";
import { createOwnShare } from "./own-share.ts";
import { fetchersOf, hasFetched, holdersOf, type Fetcher } from "./swarm-members.ts";

/** Members asked for one model at a time. */
const MEMBERS_MAX = 24;
const REFRESH_MS_MAX = 5_000;
/** How long a member is given to begin, before it counts as one that has what it has. */
const GRACE_MS = 15_000;
/** How long another's share is left to it while nothing comes at all: one that is gone is known to be sooner. */
const PATIENCE_MS = 20_000;
/** A member that failed is tried again after so long. */
const AGAIN_MS = 10_000;

export interface SwarmConfig {
  readonly store: Store;
  readonly shards: ShardStore;
  readonly held: HeldParts;
  readonly distrust: Distrust;
  /** What is known of the model's bytes by a hub's word. */
  readonly manifests: Pick<Manifests, "ask" | "keep">;
  /** A member's weights of a model; null where it cannot be reached. Disposed of by who asks. */
  weightsOf(node: NodeId, contentId: ContentId): MemberWeights | null;
  /** What is still to be written counts when others ask for room. */
  readonly uses: Pick<UseBook, "coming">;
  log(message: string): void;
}

export interface SwarmModel {
  readonly contentId: ContentId;
  readonly model: string;
  /** Who says what the model is, whose blocks others' are held against; null: the hub, or the others together. */
  readonly root: NodeId | null;
  /** Members to ask besides those that tell of having some of it. */
  readonly named: readonly NodeId[];
  readonly hub: BlockSource | null;
  readonly wish: ShardWish;
  /** How long others are given, before the first block, to tell that they fetch the same; milliseconds. */
  readonly settleMs?: number;
  readonly signal: AbortSignal;
}

/** One model, fetched from all who have some of it, together with all who fetch it at the same time. */
export interface Swarm extends AsyncDisposable {
  /** What the model begins with, from the root or the first that tells. Throws where nobody does; what it gives reads on from there. */
  headers(): Promise<ShardHeaders>;
  /** Fetches what is missing. `what`: in words. Gives the bytes that came from each source, by its name. */
  fetch(shard: ShardFile, what: string, onProgress: FetchBlocksOptions["onProgress"]): Promise<ReadonlyMap<string, number>>;
}

interface Member {
  readonly node: NodeId;
  readonly weights: MemberWeights;
  readonly source: BlockSource;
  readonly sinceMs: number;
  droppedMs: number | null;
}

export function openSwarm(config: SwarmConfig, wanted: SwarmModel): Swarm {
  const { store, held, distrust, log } = config;
  const { contentId, model, root, hub, wish, signal } = wanted;
  const stack = new AsyncDisposableStack();
  const members = new Map<NodeId, Member>();
  const came = new Map<string, number>();
  const count = (name: string, bytes: number): void => void came.set(name, (came.get(name) ?? 0) + bytes);

  const isGone = (node: NodeId): boolean => distrust.has(contentId, node) || (members.get(node)?.droppedMs ?? null) !== null;
  /** All who fetched beside us at some time; members of a cluster, so there are not many. */
  const met = new Map<NodeId, Fetcher>();
  let known: readonly Fetcher[] = [];
  let knownOf: unknown = null;
  /** Looked up anew only where the cluster has changed, and the same list where that changes nothing: this is asked for each block. */
  function fetchers(): readonly Fetcher[] {
    const { others } = store.state;
    if (knownOf === others) return known;
    knownOf = others;
    const still = fetchersOf(store.state, contentId);
    for (const fetcher of still) met.set(fetcher.node, fetcher);
    // Who is done has the share that was its own: that comes from there, not once more from a source that all share.
    const done = [...met.values()].filter(
      (fetcher) => !still.some(({ node }) => node === fetcher.node) && hasFetched(store.state, contentId, fetcher),
    );
    const now = [...still, ...done].filter(({ node }) => !isGone(node));
    const text = (list: readonly Fetcher[]): string => JSON.stringify(list.map(({ node, span }) => [node, span]));
    if (text(now) !== text(known)) known = now;
    return known;
  }
  /** One that fetches, or did. */
  const hasShare = (node: NodeId): boolean => fetchers().some((fetcher) => fetcher.node === node);
  const isFetching = (node: NodeId): boolean => fetchersOf(store.state, contentId).some((fetcher) => fetcher.node === node);

  function join(node: NodeId): Member | null {
    if (node === store.state.self || distrust.has(contentId, node)) return null;
    const weights = config.weightsOf(node, contentId);
    if (weights === null) return null;
    stack.use(weights);
    const member: Member = { node, weights, source: sourceOf(node, weights), sinceMs: performance.now(), droppedMs: null };
    members.set(node, member);
    knownOf = null;
    return member;
  }

  function sourceOf(node: NodeId, weights: MemberWeights): BlockSource {
    const { source } = weights;
    const sinceMs = performance.now();
    let isKnown = false;
    let refreshing: Promise<void> | null = null;
    return {
      name: source.name,
      kind: "member",
      connections: source.connections,
      has: (block) => source.has(block),
      isShared: () => !hasShare(node) && fetchers().length > 0,
      mayGrow: () => isFetching(node) || performance.now() - sinceMs < GRACE_MS,
      async read(block, within) {
        const bytes = await source.read(block, within);
        count(source.name, bytes.length);
        return bytes;
      },
      refresh(within) {
        const advert = store.state.others.get(node)?.advert;
        // A whole file has all there is, and will.
        if (isKnown && advert !== undefined && hasWhole(advert, contentId)) return Promise.resolve();
        refreshing ??= weights
          .refresh(AbortSignal.any([within, AbortSignal.timeout(REFRESH_MS_MAX)]))
          .then(() => void (isKnown = true))
          .finally(() => (refreshing = null));
        return refreshing;
      },
    };
  }

  for (const node of new Set([...(root === null ? [] : [root]), ...wanted.named, ...holdersOf(store.state, contentId, wish)]))
    if (members.size < MEMBERS_MAX) join(node);

  /** Members that have begun to hold, or come back. */
  function newcomers(): readonly BlockSource[] {
    const found: BlockSource[] = [];
    for (const node of holdersOf(store.state, contentId, wish)) {
      const there = members.get(node);
      if (there !== undefined && (there.droppedMs === null || performance.now() - there.droppedMs < AGAIN_MS)) continue;
      if (there === undefined && members.size >= MEMBERS_MAX) continue;
      // Whatever it still has open.
      void there?.weights[Symbol.asyncDispose]();
      const member = join(node);
      if (member !== null) found.push(member.source);
    }
    return found;
  }

  let words: ManifestWords = NO_WORDS;

  /** A block is not what a manifest says: the others who have it decide, and without any the manifest, which a hub stands behind. */
  async function settle(
    { block, bytes, from }: { readonly block: Block; readonly bytes: Buffer; readonly from: BlockSource },
    { sha256, by }: ManifestWord,
    within: AbortSignal,
  ): Promise<string | null> {
    const jurors = [...members.values()].flatMap(({ source, node, weights }): readonly Juror[] =>
      source === from || isGone(node) || !weights.has(block) ? [] : [weights],
    );
    const manifest: Juror = { name: `the manifest of ${by}`, has: () => true, digest: () => Promise.resolve(sha256) };
    const fromHub = hub === null ? null : (limit: AbortSignal): Promise<Buffer> => hub.read(block, limit);
    const settled =
      jurors.length === 0 && fromHub === null
        ? sha256
        : await judge({ block, bytes, from: from.name, jurors: [manifest, ...jurors], fromHub, model }, within);
    if (settled === sha256 || by === null) return settled;
    words.withdraw(by);
    log(
      `The manifest that ${by} tells of ${model} is not what others have (block ${block.index}): it is not relied on any more.`,
    );
    return settled;
  }

  async function expected(block: Block, source: BlockSource, within: AbortSignal, bytes: Buffer): Promise<string | null> {
    const word = words.about(block, source.name);
    if (word !== null && (word.by === null || (await hashBlock(bytes)) === word.sha256)) return word.sha256;
    if (source === hub) return null;
    if (word !== null) return settle({ block, bytes, from: source }, word, within);
    const head = root === null ? undefined : members.get(root);
    if (head !== undefined && source === head.source) return null;
    if (head !== undefined && head.droppedMs === null && head.weights.has(block)) return head.weights.digest(block, within);
    // Who has it whole had it before: those who fetch it have it from each other.
    const others = [...members.values()]
      .filter((member) => member.source !== source && !isGone(member.node))
      .sort((a, b) => Number(isFetching(a.node)) - Number(isFetching(b.node)));
    const jurors = others.map(({ weights }) => weights);
    const fromHub = hub === null ? null : (limit: AbortSignal): Promise<Buffer> => hub.read(block, limit);
    return judge({ block, bytes, from: source.name, jurors, fromHub, model }, within);
  }

  function dropped(source: BlockSource, why: "lied" | "failed", message: string): void {
    const member = [...members.values()].find((one) => one.source === source);
    if (member !== undefined) member.droppedMs = performance.now();
    knownOf = null;
    if (member !== undefined && why === "lied") distrust.add(contentId, member.node);
    log(why === "lied" ? `${message} It is not asked again for ${model}.` : message);
  }

  const hubCounted: BlockSource | null =
    hub === null
      ? null
      : {
          ...hub,
          async read(block, within) {
            const bytes = await hub.read(block, within);
            count(hub.name, bytes.length);
            return bytes;
          },
        };

  return {
    async headers() {
      const first = root === null ? undefined : members.get(root);
      if (root !== null && first === undefined)
        throw new ClusterdError("shards_unreachable", "The head that asks is not connected.");
      if (first !== undefined) return first.weights.headers(signal);
      for (const { weights } of members.values()) {
        const headers = await weights.headers(AbortSignal.any([signal, AbortSignal.timeout(REFRESH_MS_MAX)])).catch(() => null);
        signal.throwIfAborted();
        if (headers !== null) return headers;
      }
      throw new ClusterdError("shards_unreachable", `Nobody who can be reached has a part of ${model}.`);
    },
    async fetch(shard, what, onProgress) {
      const blocks = blocksFor(shard.layout, wish);
      await shard.check(blocks, signal);
      const missing = bytesOf(blocks.filter((block) => !shard.has(block)));
      await config.shards.checkRoom(missing, what);
      using _coming = config.uses.coming(() => bytesOf(blocks.filter((block) => !shard.has(block))), model);
      using _ = held.fetching(contentId, model, wish, shard.layout);
      await Promise.allSettled([...members.values()].map(async ({ source }) => source.refresh?.(signal)));
      // Not before: a member of an earlier version ends a connection that asks for it.
      const tellers = [...members.values()].map(({ weights }) => weights);
      if (missing > 0) words = await config.manifests.ask(contentId, tellers, signal, () => config.shards.ready(contentId));
      if (missing > 0) log(`fetching ${what}: ${missing} bytes`);
      if (missing > 0 && (wanted.settleMs ?? 0) > 0) await pause(wanted.settleMs, undefined, { signal });
      await fetchBlocks({
        shard,
        wanted: inOwnOrder(blocks, store.state.self, contentId),
        sources: [...[...members.values()].map(({ source }) => source), ...(hubCounted === null ? [] : [hubCounted])],
        newcomers,
        patienceMs: PATIENCE_MS,
        signal,
        onProgress,
        onDropped: dropped,
        expected: (block, source, within, bytes) =>
          expected(block, source === hubCounted && hub !== null ? hub : source, within, bytes),
        isOurs: createOwnShare({ self: store.state.self, contentId, fetchers }),
      });
      await config.shards.ready(contentId);
      await config.manifests.keep(contentId, words, signal);
      if (missing > 0) log(`${what} came: ${[...came].map(([name, bytes]) => `${bytes} bytes from ${name}`).join(", ")}`);
      return came;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
