import { MANIFEST_BYTES_MAX } from "../limits.ts";
import type { ManifestSource, ManifestTensor, ModelManifest } from "./manifest.ts";

/** Raised when manifests of this version and older ones do not mean the same. */
const VERSION = 1;
const SHA256 = /^[0-9a-f]{64}$/u;
const FNV1A = /^[0-9a-f]{16}$/u;
const SOURCES: readonly ManifestSource[] = ["hub", "member", "file"];

export const manifestText = (manifest: ModelManifest): string => JSON.stringify({ version: VERSION, ...manifest });

/**
 * The digests of a manifest that was kept or told, put into the one that the header makes; null where it is none, or is of another
 * header. Whatever it says of places, sizes and types must be what the header says: nothing but digests is taken from it.
 */
export function parseManifest(text: string, header: ModelManifest): ModelManifest | null {
  if (text.length > MANIFEST_BYTES_MAX) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const { version, contentId, source, parts, tensors, blocks } = fieldsOf(value);
  const found = SOURCES.find((one) => one === source);
  if (version !== VERSION || contentId !== header.contentId || found === undefined) return null;
  const isWhole =
    hasLength(parts, header.parts.length) && hasLength(tensors, header.tensors.length) && hasLength(blocks, header.blocks.length);
  if (!isWhole) return null;
  try {
    return {
      contentId: header.contentId,
      source: found,
      parts: header.parts.map((part, at) => {
        const { bytes, dataStart, sha256 } = fieldsOf(parts[at]);
        // Nodes may have the same model under other names.
        must(bytes === part.bytes && dataStart === part.dataStart);
        return { ...part, sha256: digest(sha256, SHA256) };
      }),
      tensors: header.tensors.map((tensor, at) => {
        const told = fieldsOf(tensors[at]);
        must(isSame(tensor, told));
        return { ...tensor, sha256: digest(told["sha256"], SHA256), fnv1a: digest(told["fnv1a"], FNV1A) };
      }),
      blocks: header.blocks.map((_, at) => digest(blocks[at], SHA256)),
    };
  } catch (error) {
    if (error instanceof NotThatManifest) return null;
    throw error;
  }
}

class NotThatManifest extends Error {}

function must(is: boolean): void {
  if (!is) throw new NotThatManifest();
}

function digest(value: unknown, form: RegExp): string | null {
  if (value === null) return null;
  if (typeof value !== "string" || !form.test(value)) throw new NotThatManifest();
  return value;
}

function isSame(tensor: ManifestTensor, told: Readonly<Record<string, unknown>>): boolean {
  const { name, type, part, offset, bytes, layer, dims } = tensor;
  return (
    told["name"] === name &&
    told["type"] === type &&
    told["part"] === part &&
    told["offset"] === offset &&
    told["bytes"] === bytes &&
    told["layer"] === layer &&
    hasLength(told["dims"], dims.length) &&
    dims.every((length, at) => (told["dims"] as readonly unknown[])[at] === length)
  );
}

const hasLength = (value: unknown, length: number): value is readonly unknown[] =>
  Array.isArray(value) && value.length === length;

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : {};
}
