// The models on this machine. How headers are walked and checked stays inside.
export type { BundledModel, Catalog, CatalogConfig, CatalogEntry, CatalogPullOptions, ModelSource } from "./catalog.ts";
export { openCatalog } from "./catalog.ts";
export type { PullProgress, PulledModel } from "./pull/pull-model.ts";
export type { ModelFile, ReadModelOptions } from "./read-model.ts";
export { readModelFile } from "./read-model.ts";
export type { TensorPlace, WeightGroup, WeightTable } from "./weight-table.ts";
export { groupOf, namesOf, readWeightTable } from "./weight-table.ts";
export type { GroupDigest, WeightDigests } from "./weight-digests.ts";
export { createWeightDigests } from "./weight-digests.ts";
export type { KnownModel } from "./known-models/model-shape.ts";
export { knownModels } from "./known-models/model-shape.ts";
export { knownProfile } from "./known-models/known-profile.ts";
export { knownProfileOf, namesNear } from "./known-models/find-known.ts";
export type { Quantisation } from "./known-models/quantise.ts";
export { leastBytes, quantisationsOf } from "./known-models/quantise.ts";
