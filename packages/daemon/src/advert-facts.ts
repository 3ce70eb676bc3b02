import type { AdvertFacts } from "@clusterd/mesh";
import type { CatalogEntry } from "@clusterd/catalog";
import type { AdvertModel } from "@clusterd/wire";
import { ALIASES_PER_MODEL_MAX, MODEL_NAME_LENGTH_MAX } from "@clusterd/wire";
import { DEPLOYMENTS_PER_NODE_MAX, HELD_PARTS_PER_NODE_MAX, MODELS_PER_NODE_MAX } from "@clusterd/wire";
import type { DaemonState } from "./state/daemon-state.ts";
import { deploymentView } from "./state/view.ts";

function withoutPath(model: AdvertModel): AdvertModel {
  const told: { -readonly [Key in keyof AdvertModel]: AdvertModel[Key] } = { ...model };
  delete told.path;
  return told;
}

/** What this node tells the members of itself. */
export function advertFacts(state: DaemonState): AdvertFacts {
  const { name, version, draining, device, links, engine, models, pending, dataPlane } = state.own;
  return {
    name,
    version,
    draining,
    device,
    links,
    engine,
    // Where they lie is nobody else's business.
    models: models.slice(0, MODELS_PER_NODE_MAX).map(withoutPath),
    deployments: [...state.deployments.values()].slice(0, DEPLOYMENTS_PER_NODE_MAX).map((deployment) => ({
      id: deployment.id,
      contentId: deployment.contentId,
      view: deploymentView(deployment),
    })),
    pending,
    dataPlane,
    settings: state.own.settings ?? null,
    held: (state.own.held ?? []).slice(0, HELD_PARTS_PER_NODE_MAX),
    disk: state.own.disk ?? null,
  };
}

/** `diskBytes`: what a file takes on this disk, as far as it was looked at. */
export function advertModels(
  entries: readonly CatalogEntry[],
  diskBytes?: (file: CatalogEntry["file"]) => number | null,
): readonly AdvertModel[] {
  return entries.map(({ file, file: { profile }, aliases, source }) => ({
    diskBytes: diskBytes?.(file) ?? null,
    id: profile.id,
    contentId: profile.contentId,
    name: profile.name,
    architecture: profile.architecture,
    quantisation: profile.quantisation,
    fileBytes: profile.fileBytes,
    layerCount: profile.layers.length,
    contextMax: profile.contextMax,
    infill: profile.infill ?? null,
    embeddings: (profile.embedding ?? null) !== null,
    source,
    path: file.path,
    // What is beyond is known here alone; an advert with more is none.
    aliases: aliases.filter((alias) => alias.length <= MODEL_NAME_LENGTH_MAX).slice(0, ALIASES_PER_MODEL_MAX),
  }));
}
