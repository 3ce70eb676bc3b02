import { join } from "node:path";
import { createManifestStore, openLastUse, openShardStore, type Catalog, type ModelFile } from "@clusterd/catalog";
import type { DataPlane, Mesh } from "@clusterd/mesh";
import type { ContentId, NodeId } from "@clusterd/wire";
import { advertModels } from "../advert-facts.ts";
import type { ControlLoopConfig } from "../deployments/control-loop.ts";
import { createHeadFiles } from "../deployments/head-files.ts";
import { createModelWeights, type WeightFiles } from "../deployments/model-weights.ts";
import { checkOwnHoles } from "../deployments/own-holes.ts";
import type { HomePaths } from "../home/paths.ts";
import { diskCap } from "../keeping/disk-cap.ts";
import { createOwnKeeping, type OwnKeeping } from "../keeping/own-keeping.ts";
import { tellDamaged } from "../keeping/tell-damaged.ts";
import { createUseBook } from "../keeping/use-book.ts";
import { createPulls, type Pulls } from "../pulls/pulls.ts";
import type { Store } from "../state/store.ts";
import { createDistrust } from "../swarm/distrust.ts";
import { createHeldParts } from "../swarm/held-parts.ts";
import { createGather } from "../swarm/gather.ts";
import { createPullWhole } from "../swarm/pull-whole.ts";
import type { WholeCopyConfig } from "../swarm/whole-copy.ts";
import { createLayerFetch, type LayerFetch } from "./layer-fetch.ts";
import { createManifests, type Manifests } from "./manifests.ts";
import { reachWeights } from "./reach-weights.ts";
import { createTransferLimits } from "./transfer-limits.ts";
import { createWeightOffers, type WeightOffers } from "./weight-offers.ts";

export interface OwnWeightsConfig {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly dataPlane: DataPlane;
  readonly paths: HomePaths;
  mesh(): Mesh;
  nameOf(node: NodeId): string;
  log(message: string): void;
  /** What models may take of the disk; null: all of it; absent: as it was said last. */
  readonly diskBytes?: number | null | undefined;
  /** What may be fetched and served in a second, over all together; absent: without a limit. */
  readonly fetchBytesPerSecond?: number | undefined;
  readonly serveBytesPerSecond?: number | undefined;
  onEvicted(evicted: { readonly model: string; readonly what: string; readonly bytes: number }): void;
  readonly signal: AbortSignal;
}

/** The weights on this node's disk: what there is of them, how more of them come, and what others are given of them. */
export interface OwnWeights extends AsyncDisposable {
  /** Of a model that is here, whole or in parts. */
  fileOf(contentId: ContentId): ModelFile | null;
  /** As the worker host and the control loop verify them. */
  readonly digests: ReturnType<typeof createModelWeights>;
  readonly layers: LayerFetch;
  readonly offers: WeightOffers;
  readonly pulls: Pulls;
  readonly manifests: Manifests;
  readonly headFiles: ReturnType<typeof createHeadFiles> & Pick<ControlLoopConfig, "checkFiles">;
  readonly kept: OwnKeeping;
  /** Tells the cluster anew which models are here. */
  modelsChanged(): void;
}

export async function openOwnWeights(config: OwnWeightsConfig): Promise<OwnWeights> {
  const { store, catalog, dataPlane, paths, mesh, nameOf, log, signal } = config;
  await using opening = new AsyncDisposableStack();
  const lastUse = opening.use(await openLastUse(paths.lastUse));
  const uses = createUseBook((contentId) => lastUse.used(contentId));
  const shards = opening.use(
    await openShardStore({
      dir: paths.shards,
      cacheDir: join(paths.cache, "profiles"),
      makeRoom: (bytes, what) => kept.keeping.makeRoom(bytes, what),
      onDamaged: (held, block) => log(tellDamaged(held, block)),
      signal,
    }),
  );
  // Whole copies that a kill has left on the way to their names.
  if (shards.settled.length > 0) await catalog.refresh(signal);
  /** Of a model that is here, whole or in parts. */
  const fileOf = (id: ContentId): ModelFile | null => catalog.byContent(id) ?? shards.fileOf(id);
  const modelsChanged = (): void => {
    store.dispatch({ type: "own", facts: { models: advertModels(catalog.list(), (file) => kept.keeping.diskBytesOf(file)) } });
    void manifests.readPulled();
  };
  const limits = createTransferLimits(store, config);
  const pulling: Catalog["pull"] = (ref, pullOptions) =>
    catalog.pull(ref, {
      ...pullOptions,
      gather,
      throttle: limits.fetch.take,
      makeRoom: (bytes, what) => kept.keeping.makeRoom(bytes, what),
    });
  const pulls = opening.use(
    createPulls({
      pull: pulling,
      pullWhole: (ref, pullOptions) => pullWhole(ref, pullOptions),
      modelsChanged,
      onChange: (views) => store.dispatch({ type: "own", facts: { pulls: views } }),
      log,
    }),
  );
  const manifestStore = createManifestStore(join(paths.cache, "manifests"));
  const manifests = opening.use(
    createManifests({
      store: manifestStore,
      fileOf,
      pulled: () => catalog.list().flatMap(({ source, file }) => (source === "pulled" ? [file] : [])),
      modelsDir: paths.models,
      log,
      signal,
    }),
  );
  void manifests.readPulled();
  const held = opening.use(createHeldParts({ store, catalog, shards }));
  const swarm: WholeCopyConfig = {
    store,
    shards,
    held,
    distrust: createDistrust(),
    manifests,
    weightsOf: (node, contentId) => reachWeights({ store, dataPlane, mesh, nameOf, pace: limits.fetch }, node, contentId),
    uses,
    log,
  };
  const gather = createGather({ ...swarm, throttle: limits.fetch.take, env: process.env });
  const pullWhole = createPullWhole({ ...swarm, catalog, pull: pulling, modelsDir: paths.models });
  const layers = opening.use(createLayerFetch({ ...swarm, catalog, throttle: limits.fetch.take, signal }));
  const kept: OwnKeeping = opening.use(
    createOwnKeeping({
      store,
      catalog,
      shards,
      modelsDir: paths.models,
      capBytes: await diskCap(paths.diskCap, config.diskBytes, log),
      uses,
      lastUse,
      swarm,
      pulls: () => pulls,
      close: (contentId) => layers.close(contentId),
      changed() {
        modelsChanged();
        held.changed();
      },
      onEvicted: config.onEvicted,
      log,
      signal,
    }),
  );
  const { beforeUse } = kept;
  const fingerprintOf = (node: NodeId): string | null => store.state.others.get(node)?.advert.dataPlane.fingerprint ?? null;
  const offers = opening.use(
    createWeightOffers({ dataPlane, layers, pace: limits.serve, uses, manifestOf: (id) => manifests.textOf(id), fingerprintOf }),
  );
  const weightFiles: WeightFiles = {
    byContent: fileOf,
    beforeWorker: (request, within) => beforeUse.worker(request.contentId, { ...request, isHead: false }, within),
    groupsHere: (contentId) => beforeUse.groupsHere(contentId),
  };
  const digests = createModelWeights(weightFiles, join(paths.cache, "digests"), manifestStore);
  const stack = opening.move();
  return {
    fileOf,
    digests,
    layers,
    offers,
    pulls,
    manifests,
    headFiles: {
      ...createHeadFiles({ store, catalog, fileOf, layers: () => layers, mesh, nameOf, log }),
      async checkFiles({ contentId, model, placement: { stages, speculation } }, within) {
        await beforeUse.head(contentId, within);
        const file = catalog.byContent(contentId);
        const nextTokens = speculation.type === "mtp";
        const own = { self: store.state.self, model, stages, nextTokens, weights: digests, signal: within };
        if (file !== null) await checkOwnHoles({ ...own, file });
      },
    },
    kept,
    modelsChanged,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
