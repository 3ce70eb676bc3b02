import { brokenModel } from "./broken-model.ts";
import { METADATA_ENTRIES_MAX, TENSORS_MAX } from "./limits.ts";
import { sizeText } from "./size-text.ts";

/** Magic, version, tensor count, metadata count. */
export const FIXED_HEADER_BYTES = 24;
const MAGIC = 0x46_55_47_47;
const VERSIONS: ReadonlySet<number> = new Set([2, 3]);
/** The least a metadata entry takes: an empty key's length, a type, one byte. */
const METADATA_ENTRY_BYTES_MIN = 13;
/** The least a tensor's entry takes: an empty name's length, the number of dimensions, type, offset. */
const TENSOR_ENTRY_BYTES_MIN = 24;

export interface FixedHeader {
  readonly version: number;
  readonly tensorCount: number;
  readonly metadataCount: number;
}

/** Checks the first 24 bytes of a file of `fileBytes` bytes: they say at once whether it can be a GGUF at all. */
export function parseFixedHeader(bytes: Uint8Array, path: string, fileBytes: number): FixedHeader {
  if (fileBytes === 0) throw brokenModel(path, "the file is empty");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength >= 4 && view.getUint32(0, true) !== MAGIC) {
    throw brokenModel(
      path,
      "not a GGUF file (it does not begin with the letters GGUF)",
      "give the path of a model in GGUF format",
    );
  }
  if (view.byteLength < FIXED_HEADER_BYTES) {
    throw brokenModel(path, `not a GGUF file: it holds ${sizeText(fileBytes)}, less than any GGUF header`);
  }
  const version = view.getUint32(4, true);
  // A file of the other byte order shows its version in the upper half.
  if (version !== 0 && version % 65_536 === 0)
    throw brokenModel(path, "a GGUF file for big-endian machines, which the engine cannot run");
  if (!VERSIONS.has(version)) {
    throw brokenModel(
      path,
      `GGUF version ${version}, but the engine reads versions 2 and 3`,
      "convert it with a current llama.cpp",
    );
  }
  const tensorCount = Number(view.getBigUint64(8, true));
  const metadataCount = Number(view.getBigUint64(16, true));
  const room = fileBytes - FIXED_HEADER_BYTES;
  if (tensorCount > TENSORS_MAX || tensorCount * TENSOR_ENTRY_BYTES_MIN > room) {
    throw brokenModel(path, `its header is corrupt: it claims ${tensorCount} tensors in a file of ${sizeText(fileBytes)}`);
  }
  if (metadataCount > METADATA_ENTRIES_MAX || metadataCount * METADATA_ENTRY_BYTES_MIN > room) {
    throw brokenModel(
      path,
      `its header is corrupt: it claims ${metadataCount} metadata entries in a file of ${sizeText(fileBytes)}`,
    );
  }
  return { version, tensorCount, metadataCount };
}
