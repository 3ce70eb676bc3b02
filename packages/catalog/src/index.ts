// The models on this machine. How headers are walked and checked stays inside.
export type { BundledModel, Catalog, CatalogConfig, CatalogEntry, CatalogPullOptions, ModelSource } from "./catalog.ts";
export { openCatalog } from "./catalog.ts";
export type { PullProgress, PulledModel } from "./pull/pull-model.ts";
export type { ModelFile, ReadModelOptions } from "./read-model.ts";
export { readModelFile } from "./read-model.ts";
export type { TensorPlace, WeightGroup, WeightTable } from "./weight-table.ts";
export { groupOf, namesOf, readWeightTable } from "./weight-table.ts";
export type { GroupDigest, TensorHash, WeightDigests } from "./weight-digests.ts";
export { createWeightDigests } from "./weight-digests.ts";
export type { ModelManifest } from "./manifest/manifest.ts";
export { withDigests } from "./manifest/manifest.ts";
export type { ManifestStore } from "./manifest/manifest-store.ts";
export { createManifestStore } from "./manifest/manifest-store.ts";
export { hubDigestsOf } from "./manifest/hub-digests.ts";
export { digestFiles } from "./manifest/digest-files.ts";
export { manifestText, parseManifest } from "./manifest/parse-manifest.ts";
export type { KnownModel } from "./known-models/model-shape.ts";
export { knownModels } from "./known-models/model-shape.ts";
export { knownProfile } from "./known-models/known-profile.ts";
export { knownProfileOf, namesNear } from "./known-models/find-known.ts";
export type { Quantisation } from "./known-models/quantise.ts";
export { leastBytes, quantisationsOf } from "./known-models/quantise.ts";
export type { Block, ShardLayout, ShardWish } from "./shards/shard-layout.ts";
export { blocksFor, bytesOf } from "./shards/shard-layout.ts";
export type { HeldModel, ShardFile } from "./shards/shard-file.ts";
export type { HeldShard, ShardHeaders, ShardStore } from "./shards/shard-store.ts";
export { openShardStore } from "./shards/shard-store.ts";
export { blockDigest } from "./shards/block-map.ts";
export { hashBlock } from "./shards/hash-block.ts";
export { freeNow } from "./shards/own-memory.ts";
export type { HubModel } from "./shards/hub-blocks.ts";
export { hubModel } from "./shards/hub-blocks.ts";
export { fetchHubProjector } from "./shards/hub-projector.ts";
export { readHubContent } from "./shards/hub-content.ts";
export type { SettledModel } from "./shards/settle-shard.ts";
export type { Gather, GatherWish } from "./pull/gather.ts";
export type { Throttle } from "./pull/throttled-source.ts";
export type { RemoteModel } from "./remote/read-remote.ts";
export { openWholeFile } from "./shards/whole-file.ts";
export type { BlockSource, FetchBlocksOptions } from "./shards/fetch-blocks.ts";
export { sizeText } from "./size-text.ts";
export type { Evictable, EvictionChoice, EvictionKind, RoomQuestion } from "./keep/choose-evictions.ts";
export { chooseEvictions, shortage } from "./keep/choose-evictions.ts";
export type { LastUse } from "./keep/last-use.ts";
export { openLastUse } from "./keep/last-use.ts";
export { wholeDiskBytes } from "./keep/disk-usage.ts";
export type { PulledCopy, PulledCopyFile } from "./keep/pulled-copies.ts";
export {
  firstDifference,
  isDoubtful,
  leftovers,
  pulledCopies,
  quarantine,
  readAgain,
  restoreNames,
} from "./keep/pulled-copies.ts";
export { fetchBlocks } from "./shards/fetch-blocks.ts";
