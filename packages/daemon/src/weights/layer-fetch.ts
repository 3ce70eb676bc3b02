import {
  blocksFor,
  bytesOf,
  fetchBlocks,
  openWholeFile,
  type Block,
  type Catalog,
  type HeldModel,
  type ShardStore,
} from "@clusterd/catalog";
import {
  asClusterdError,
  ClusterdError,
  type ContentId,
  type ControlAnswers,
  type FetchLayersRequest,
  type NodeId,
} from "@clusterd/wire";
import type { MemberWeights } from "./member-weights.ts";

/** Models fetched at a time. */
const FETCHES_MAX = 8;
/** Whole files kept open for others to read from. */
const OPEN_FILES_MAX = 32;
/** A fetch that nobody asks after any more ends. */
const FORGOTTEN_MS = 60_000;

export interface LayerFetchConfig {
  readonly catalog: Catalog;
  readonly shards: ShardStore;
  /** A member's weights of a model; null where it cannot be reached. Disposed of by who asks. */
  weightsOf(node: NodeId, contentId: ContentId): MemberWeights | null;
  log(message: string): void;
  readonly signal: AbortSignal;
}

/** Fetches, for heads that ask for it, the layers that this node is to run; and knows what it can give to others. */
export interface LayerFetch extends AsyncDisposable {
  /** Begins to fetch, or tells how far it is. */
  fetch(request: FetchLayersRequest): ControlAnswers["fetch-layers"];
  /** What this node has of a model: its whole file, or parts of one. */
  held(contentId: ContentId): Promise<HeldModel | null>;
}

interface Job {
  readonly abort: AbortController;
  state: ControlAnswers["fetch-layers"];
  askedMs: number;
  ended: Promise<void>;
}

export function createLayerFetch(config: LayerFetchConfig): LayerFetch {
  const { catalog, shards } = config;
  const jobs = new Map<string, Job>();
  const whole = new Map<string, Promise<HeldModel & AsyncDisposable>>();

  async function held(contentId: ContentId): Promise<HeldModel | null> {
    const file = catalog.byContent(contentId);
    if (file === null) return shards.get(contentId);
    let opening = whole.get(file.path);
    if (opening === undefined) {
      if (whole.size >= OPEN_FILES_MAX) throw new ClusterdError("queue_full", "Too many models are being read here.");
      opening = openWholeFile(file, config.signal);
      whole.set(file.path, opening);
      opening.catch(() => whole.delete(file.path));
    }
    return opening;
  }

  async function run(request: FetchLayersRequest, job: Job): Promise<void> {
    const { contentId, firstLayer, lastLayer, root, holders } = request;
    const signal = AbortSignal.any([config.signal, job.abort.signal]);
    await using stack = new AsyncDisposableStack();
    try {
      const members = [...new Set([root, ...holders])].flatMap((node) => {
        const member = config.weightsOf(node, contentId);
        return member === null ? [] : [{ node, member: stack.use(member) }];
      });
      const asked = members.find(({ node }) => node === root)?.member;
      if (asked === undefined) throw new ClusterdError("shards_unreachable", "The head that asks is not connected.");
      const shard = await shards.begin(contentId, await asked.headers(signal), signal);
      const wanted = blocksFor(shard.layout, { firstLayer, lastLayer, isHead: false });
      const missing = bytesOf(wanted.filter((block) => !shard.has(block)));
      await shards.checkRoom(missing, `${request.model} (layers ${firstLayer}-${lastLayer})`);
      await Promise.allSettled(members.map(({ member }) => member.refresh(signal)));
      if (missing > 0) config.log(`fetching layers ${firstLayer}-${lastLayer} of ${request.model}: ${missing} bytes`);
      await fetchBlocks({
        shard,
        wanted,
        sources: members.map(({ member }) => member.source),
        signal,
        onProgress: (doneBytes, totalBytes) => (job.state = { state: "fetching", doneBytes, totalBytes, error: null }),
        onDropped: (_source, why, message) => config.log(why === "lied" ? `${message} It is not asked again.` : message),
        // The head that asks is who says what the model is: what others send must be the same.
        expected: async (block: Block, source, within) =>
          source === asked.source || !asked.has(block) ? null : asked.digest(block, within),
      });
      const totalBytes = bytesOf(wanted);
      job.state = { state: "here", doneBytes: totalBytes, totalBytes, error: null };
    } catch (error) {
      const { code, message } = asClusterdError(error);
      job.state = { ...job.state, state: "failed", error: { code, message, next: null } };
      if (!signal.aborted) config.log(`layers ${firstLayer}-${lastLayer} of ${request.model} were not fetched: ${message}`);
    }
  }

  const keyOf = ({ contentId, firstLayer, lastLayer }: FetchLayersRequest): string => `${contentId}/${firstLayer}-${lastLayer}`;
  // A head that is gone asks no more: what it wanted is not wanted.
  const sweep = setInterval(() => {
    for (const [key, job] of jobs) {
      if (performance.now() - job.askedMs < FORGOTTEN_MS) continue;
      job.abort.abort();
      jobs.delete(key);
    }
  }, FORGOTTEN_MS / 4);

  return {
    held,
    fetch(request) {
      const here = { state: "here", doneBytes: 0, totalBytes: 0, error: null } as const;
      if (catalog.byContent(request.contentId) !== null) return here;
      const key = keyOf(request);
      const known = jobs.get(key);
      if (known !== undefined) {
        known.askedMs = performance.now();
        // Told once: asked again later, it is looked at again.
        if (known.state.state !== "fetching") jobs.delete(key);
        return known.state;
      }
      if (jobs.size >= FETCHES_MAX) throw new ClusterdError("queue_full", `This node fetches ${FETCHES_MAX} models already.`);
      const job: Job = {
        abort: new AbortController(),
        state: { state: "fetching", doneBytes: 0, totalBytes: 0, error: null },
        askedMs: performance.now(),
        ended: Promise.resolve(),
      };
      jobs.set(key, job);
      job.ended = run(request, job);
      return job.state;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(sweep);
      for (const job of jobs.values()) job.abort.abort();
      await Promise.all([...jobs.values()].map(({ ended }) => ended));
      for (const file of await Promise.allSettled(whole.values()))
        if (file.status === "fulfilled") await file.value[Symbol.asyncDispose]();
    },
  };
}
