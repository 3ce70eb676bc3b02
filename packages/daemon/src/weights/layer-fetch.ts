import { setTimeout as pause } from "node:timers/promises";
import { dirname } from "node:path";
import {
  fetchHubProjector,
  hubModel,
  openWholeFile,
  type Catalog,
  type FetchBlocksOptions,
  type HeldModel,
  type ShardFile,
  type ShardWish,
  type Throttle,
} from "@clusterd/catalog";
import {
  asClusterdError,
  ClusterdError,
  type ContentId,
  type ControlAnswers,
  type FetchLayersRequest,
  type HubPlace,
  type NodeId,
} from "@clusterd/wire";
import type { UseBook } from "../keeping/use-book.ts";
import { openSwarm, type Swarm, type SwarmConfig } from "../swarm/swarm.ts";

/** Models fetched at a time. */
const FETCHES_MAX = 8;
/** Whole files kept open for others to read from. */
const OPEN_FILES_MAX = 32;
/** How long an answer waits for the end of what is asked after. */
const TELL_MS = 1_000;
/** A fetch that nobody asks after any more ends. */
const FORGOTTEN_MS = 60_000;

export interface LayerFetchConfig extends SwarmConfig {
  readonly catalog: Catalog;
  /** What is fetched stays, and what is about to be used. */
  readonly uses: UseBook;
  /** For what comes from the hub. */
  readonly throttle?: Throttle;
  readonly signal: AbortSignal;
}

/** Fetches, for heads that ask for it, the layers that this node is to run; and knows what it can give to others. */
export interface LayerFetch extends AsyncDisposable {
  /** Begins to fetch, or tells how far it is. */
  fetch(request: FetchLayersRequest): Promise<ControlAnswers["fetch-layers"]>;
  /**
   * Begins what this node needs as the head of a model that nobody has whole: its own layers, the embeddings and the output. What it
   * gives fetches them, telling how far it is.
   */
  beginOwn(wanted: OwnPart, signal: AbortSignal): Promise<(onProgress: FetchBlocksOptions["onProgress"]) => Promise<void>>;
  /** What this node has of a model: its whole file, or parts of one. */
  held(contentId: ContentId): Promise<HeldModel | null>;
  /** Reads no more from a model's whole file: it is about to go. */
  close(contentId: ContentId): Promise<void>;
}

/** What a head fetches for itself; without layers `lastLayer` is below `firstLayer`. */
export interface OwnPart extends ShardWish {
  readonly model: string;
  readonly contentId: ContentId;
  /** Null: with members alone. */
  readonly hub: HubPlace | null;
  readonly holders: readonly NodeId[];
}

interface Job {
  readonly abort: AbortController;
  state: ControlAnswers["fetch-layers"];
  askedMs: number;
  /** The heads that ask for it. */
  readonly askedBy: Set<NodeId>;
  ended: Promise<void>;
}

export function createLayerFetch(config: LayerFetchConfig): LayerFetch {
  const { catalog, shards } = config;
  const jobs = new Map<string, Job>();
  const whole = new Map<string, Promise<HeldModel & AsyncDisposable>>();

  async function held(contentId: ContentId): Promise<HeldModel | null> {
    const file = catalog.byContent(contentId);
    if (file === null) return shards.get(contentId);
    // By content and place: under the same path another model may lie by now.
    const key = `${contentId} ${file.path}`;
    let opening = whole.get(key);
    if (opening === undefined) {
      const [oldest] = whole;
      if (whole.size >= OPEN_FILES_MAX && oldest !== undefined) {
        whole.delete(oldest[0]);
        // Who still reads from it asks again, or elsewhere.
        void oldest[1].then((model) => model[Symbol.asyncDispose]()).catch(() => undefined);
      }
      opening = openWholeFile(file, config.signal);
      whole.set(key, opening);
      opening.catch(() => whole.delete(key));
    }
    return opening;
  }

  async function run(request: FetchLayersRequest, job: Job): Promise<void> {
    const { contentId, firstLayer, lastLayer, root, holders } = request;
    const signal = AbortSignal.any([config.signal, job.abort.signal]);
    const what = `layers ${firstLayer}-${lastLayer} of ${request.model}`;
    await using stack = new AsyncDisposableStack();
    const wish = { firstLayer, lastLayer, isHead: false };
    stack.use(config.uses.hold(contentId, wish));
    try {
      const hub = request.hub == null ? null : hubModel(request.hub, process.env, signal, config.throttle).source;
      const swarm = stack.use(openSwarm(config, { contentId, model: request.model, root, named: holders, hub, wish, signal }));
      const shard = await shards.begin(
        contentId,
        { ...(await swarm.headers()), model: request.model, isReadyLater: true },
        signal,
      );
      await swarm.fetch(shard, what, (doneBytes, totalBytes) => {
        job.state = { state: "fetching", doneBytes, totalBytes, error: null };
      });
      config.uses.soon(contentId, wish);
      job.state = { ...job.state, state: "here" };
    } catch (error) {
      const { code, message } = asClusterdError(error);
      job.state = { ...job.state, state: "failed", error: { code, message, next: null } };
      if (!signal.aborted) config.log(`${what} were not fetched: ${message}`);
    }
  }

  async function beginOwn(wanted: OwnPart, within: AbortSignal): ReturnType<LayerFetch["beginOwn"]> {
    const signal = AbortSignal.any([config.signal, within]);
    const { contentId, model, firstLayer, lastLayer, holders } = wanted;
    const hub = wanted.hub === null ? null : hubModel(wanted.hub, process.env, signal, config.throttle);
    const open = (): Swarm =>
      openSwarm(config, { contentId, model, root: null, named: holders, hub: hub?.source ?? null, wish: wanted, signal });
    const begin = async (): Promise<ShardFile> => {
      await using swarm = open();
      return shards.begin(contentId, { ...(hub?.headers ?? (await swarm.headers())), model, isReadyLater: true }, signal);
    };
    const shard = (await shards.get(contentId)) ?? (await begin());
    const [first] = shard.paths;
    if (wanted.hub !== null && first !== undefined) await fetchEyes(wanted, wanted.hub, dirname(first), signal);
    return async (onProgress) => {
      await using stack = new AsyncDisposableStack();
      stack.use(config.uses.hold(contentId, wanted));
      const layers = lastLayer < firstLayer ? "" : `layers ${firstLayer}-${lastLayer}, `;
      await stack.use(open()).fetch(shard, `${layers}embeddings and output of ${model}`, onProgress);
    };
  }

  /** What lets a model see images, for its head alone. Without it the model answers texts, which is said. */
  async function fetchEyes({ contentId, model }: OwnPart, hub: HubPlace, folder: string, signal: AbortSignal): Promise<void> {
    try {
      if (await fetchHubProjector(hub, { folder, env: process.env, signal })) await shards.reread(contentId);
    } catch (error) {
      signal.throwIfAborted();
      config.log(`${model} will see no images: ${asClusterdError(error).message}`);
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
    beginOwn,
    async close(contentId) {
      for (const [key, opening] of whole) {
        if (!key.startsWith(`${contentId} `)) continue;
        whole.delete(key);
        // One that could not be opened is closed already.
        await opening.then((model) => model[Symbol.asyncDispose]()).catch(() => undefined);
      }
    },
    async fetch(request) {
      const here = { state: "here", doneBytes: 0, totalBytes: 0, error: null } as const;
      if (catalog.byContent(request.contentId) !== null) {
        config.uses.soon(request.contentId, { ...request, isHead: false });
        return here;
      }
      const key = keyOf(request);
      const known = jobs.get(key);
      if (request.stop === true) {
        known?.askedBy.delete(request.root);
        if (known?.askedBy.size === 0) {
          known.abort.abort();
          jobs.delete(key);
        }
        return known?.state ?? here;
      }
      if (known !== undefined) {
        known.askedMs = performance.now();
        known.askedBy.add(request.root);
        // Its end is told at once, however seldom it is asked after.
        await Promise.race([known.ended, pause(TELL_MS, undefined, { ref: false })]);
        // Told once: asked again later, it is looked at again.
        if (known.state.state !== "fetching" && jobs.get(key) === known) jobs.delete(key);
        return known.state;
      }
      if (jobs.size >= FETCHES_MAX) throw new ClusterdError("queue_full", `This node fetches ${FETCHES_MAX} models already.`);
      const job: Job = {
        abort: new AbortController(),
        state: { state: "fetching", doneBytes: 0, totalBytes: 0, error: null },
        askedMs: performance.now(),
        askedBy: new Set([request.root]),
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
