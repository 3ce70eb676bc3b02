import { dirname, join } from "node:path";
import type { Catalog, ModelFile } from "@clusterd/catalog";
import type { Mesh } from "@clusterd/mesh";
import { ClusterdError, placeOf, type ContentId, type NodeId } from "@clusterd/wire";
import { partQuestion } from "../planning/headed.ts";
import { notAllThere, placesOf } from "../planning/model-places.ts";
import { planForCluster, withNodeIds } from "../planning/plan-cluster.ts";
import { doesNotFit } from "../planning/refusal-text.ts";
import type { Store } from "../state/store.ts";
import { fetchStages, layersMissing, ownPart } from "../weights/fetch-stages.ts";
import type { LayerFetch } from "../weights/layer-fetch.ts";
import type { ControlLoopConfig } from "./control-loop.ts";

export interface HeadFilesConfig {
  readonly store: Store;
  readonly catalog: Catalog;
  /** Of a model that is here, whole or in parts. */
  fileOf(contentId: ContentId): ModelFile | null;
  layers(): LayerFetch;
  mesh(): Mesh;
  nameOf(node: NodeId): string;
  log(message: string): void;
}

/** What a head does with the files of its models: has its stages' nodes fetch theirs, gives the engine its own, plans by what it says. */
export function createHeadFiles(config: HeadFilesConfig): Pick<ControlLoopConfig, "fetchLayers" | "modelFile" | "replan"> {
  const { store, catalog, layers, mesh, nameOf, log } = config;
  function fileOf(model: string, contentId: ContentId): ModelFile {
    const file = config.fileOf(contentId);
    if (file === null) throw new ClusterdError("model_broken", `The file of ${model} is not on this node any more.`);
    return file;
  }
  const onSilent = (node: NodeId): void => {
    if (store.state.others.get(node)?.state === "alive") store.dispatch({ type: "node-state", node, state: "suspect" });
  };
  return {
    fetchLayers(deployment, onProgress, signal) {
      const isPart = catalog.byContent(deployment.contentId) === null;
      if (!isPart && !layersMissing(store.state, deployment)) return null;
      const hub = isPart ? (deployment.asked.hub ?? null) : null;
      const ask = mesh().request;
      const own = deployment.placement.stages.findIndex(({ node }) => placeOf(node as NodeId).node === store.state.self);
      return (async () => {
        // The others begin with the header that this node has then.
        const fetchOwn = isPart ? await layers().beginOwn(ownPart(store.state, deployment, hub), signal) : null;
        await Promise.all([
          fetchOwn?.((done, total) => void (own >= 0 && onProgress(own, done, total))),
          fetchStages({ store, deployment, ask, nameOf, onProgress, log, onSilent, mustFetch: isPart, signal }),
        ]);
      })();
    },
    modelFile(model, contentId) {
      const { path, profile } = fileOf(model, contentId);
      const { embedding = null, projector = null } = profile;
      const { nextTokenLayers } = profile;
      return { path, embedding, nextTokenLayers, projectorPath: projector === null ? null : join(dirname(path), projector.file) };
    },
    replan(deployment) {
      const { profile } = fileOf(deployment.model, deployment.contentId);
      const { hub } = deployment.asked;
      const { missing } = placesOf(store.state, profile);
      if (missing.bytes > 0 && (hub ?? null) === null) throw notAllThere(store.state, deployment.model, profile, missing);
      const question = partQuestion(deployment.asked);
      const result = planForCluster(store.state, profile, deployment.wish, new Set([deployment.id]), question);
      if (!result.feasible) throw doesNotFit(deployment.model, result);
      return withNodeIds(store.state, result);
    },
  };
}
