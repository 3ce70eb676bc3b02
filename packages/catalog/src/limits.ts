/** Every limit of the catalog, in one place. What a file claims beyond them is refused, never allocated. */

/** A GGUF header (metadata and tensor table). The largest real ones, with vocabularies of 260,000 tokens, are near 16 MB. */
export const HEADER_BYTES_MAX: number = 64 * 1024 * 1024;
/** All files of one model, and so each of them. */
export const MODEL_BYTES_MAX: number = 4 * 1024 ** 4;
/** Metadata entries of one file; real ones have below 100. */
export const METADATA_ENTRIES_MAX = 16_384;
/** One metadata key. */
export const KEY_BYTES_MAX = 1024;
/** Tensors of one file; the largest real models have a few thousand. */
export const TENSORS_MAX = 65_536;
/** One tensor's name: ggml keeps 64 bytes with the closing zero. */
export const TENSOR_NAME_BYTES_MAX = 63;
/** Dimensions of one tensor, as in ggml. */
export const DIMENSIONS_MAX = 4;
/** Parts of one split model. */
export const PARTS_MAX = 1024;
/** How much of a header is in memory at a time while it is walked. */
export const HEADER_WINDOW_BYTES: number = 1024 * 1024;
/** Text taken from a file's metadata. */
export const METADATA_TEXT_MAX = 256;
/** JavaScript heap of the process that reads a header's meaning. */
export const READER_HEAP_MEGABYTES = 384;
/** How long that process may take: a slow single-board computer starts it in about five seconds. */
export const READER_TIMEOUT_MS = 30_000;
/** Projectors beside a model that are looked at for the one that fits. */
export const PROJECTORS_LOOKED_AT_MAX = 8;
/** What that process may write. */
export const READER_OUTPUT_BYTES_MAX: number = 4 * 1024 * 1024;
/** A path given as a reference. */
export const REFERENCE_LENGTH_MAX = 4096;
/** Profiles kept on disk. */
export const CACHED_PROFILES_MAX = 512;
/** One kept profile: 1024 layers take about 100 KB. */
export const CACHED_PROFILE_BYTES_MAX: number = 1024 * 1024;
/** Files of digests kept on disk, and one of them: 1024 layers take 75 KB, each tensor whose own hash was asked for 130 bytes. */
export const CACHED_DIGESTS_MAX = 512;
export const CACHED_DIGEST_BYTES_MAX: number = 2 * 1024 * 1024;
/** One model's manifest as text, kept or told: 8 MB for 400 GB; the most tensors there may be take 25 MB. */
export const MANIFEST_BYTES_MAX: number = 32 * 1024 * 1024;
/** Manifests kept on disk, and what they may take there together. */
export const MANIFESTS_KEPT_MAX = 256;
export const MANIFESTS_KEPT_BYTES_MAX: number = 256 * 1024 * 1024;
/** Manifests kept in memory. */
export const MANIFESTS_IN_MEMORY_MAX = 8;
/** Paths remembered besides those in the models folder. */
export const KNOWN_PATHS_MAX = 256;
/** Folder entries looked at in the models folder, and how deep. */
export const FOLDER_ENTRIES_MAX = 10_000;
/** Files that were refused and are told of. */
export const PROBLEMS_MAX = 64;
