import type { ContentId, ModelTensors } from "@clusterd/wire";
import type { GuardedHeader } from "../header-guard.ts";
import { layoutOf } from "../shards/shard-layout.ts";
import { TENSOR_TYPES } from "../tensor-types.ts";
import { groupOf } from "../weight-table.ts";

/**
 * How far the digests can be relied on. `hub`: made by this node from a whole file whose SHA-256 are those that the hub tells; `member`:
 * such ones, told by another node; `file`: made from a file of which nobody says what it must be.
 */
export type ManifestSource = "hub" | "member" | "file";

export interface ManifestPart {
  readonly name: string;
  readonly bytes: number;
  /** Before it is the header. */
  readonly dataStart: number;
  /** Of the whole part. */
  readonly sha256: string | null;
}

/** Where a tensor lies, and what its bytes must be. */
export type ManifestTensor = ModelTensors["tensors"][number];

/** All that is known of a model's bytes: what is where, by its header alone, and what it must be, as far as that is known. */
export interface ModelManifest {
  readonly contentId: ContentId;
  readonly source: ManifestSource;
  readonly parts: readonly ManifestPart[];
  readonly tensors: readonly ManifestTensor[];
  /** SHA-256 of each block that nodes pass on (`shard-layout`), which follow from the header as well. */
  readonly blocks: readonly (string | null)[];
}

/** A model's manifest as its headers make it, without a digest. Parts in order. */
export function manifestOf(
  contentId: ContentId,
  names: readonly string[],
  headers: readonly Pick<GuardedHeader, "fileBytes" | "dataStart" | "tensors">[],
): ModelManifest {
  return {
    contentId,
    source: "file",
    parts: headers.map(({ fileBytes, dataStart }, part) => ({
      name: names[part] ?? "",
      bytes: fileBytes,
      dataStart,
      sha256: null,
    })),
    tensors: headers.flatMap(({ dataStart, tensors }, part) =>
      tensors.map(({ name, type, dimensions, offset, bytes }) => ({
        name,
        type: TENSOR_TYPES.get(type)?.name ?? String(type),
        dims: dimensions,
        part,
        offset: dataStart + offset,
        bytes,
        layer: groupOf(name),
        sha256: null,
        fnv1a: null,
      })),
    ),
    blocks: layoutOf(headers).blocks.map(() => null),
  };
}

/** Digests that have become known; a tensor's by its name, a block's by its index. */
export interface KnownDigests {
  readonly source: ManifestSource;
  readonly parts: readonly (string | null)[];
  readonly tensors: ReadonlyMap<string, { readonly sha256: string | null; readonly fnv1a: string | null }>;
  readonly blocks: ReadonlyMap<number, string>;
}

const RANK: Readonly<Record<ManifestSource, number>> = { file: 0, member: 1, hub: 2 };

/** Where two say different things of the same bytes. */
export function conflictsOf(a: ModelManifest, b: ModelManifest): readonly string[] {
  const differ = (one: string | null | undefined, other: string | null | undefined): boolean =>
    one != null && other != null && one !== other;
  return [
    ...a.parts.flatMap(({ name, sha256 }, at) => (differ(sha256, b.parts[at]?.sha256) ? [name] : [])),
    ...a.tensors.flatMap(({ name, sha256 }, at) => (differ(sha256, b.tensors[at]?.sha256) ? [name] : [])),
    ...a.blocks.flatMap((sha256, at) => (differ(sha256, b.blocks[at]) ? [`block ${at}`] : [])),
  ];
}

/**
 * Two manifests of the same header as one: what only one of them knows is taken over, but where they differ, or rest on different
 * grounds, the one with the better source stays as it is. Of the other only the hashes of bytes that are the same for sure are kept.
 */
export function betterManifest(known: ModelManifest, other: ModelManifest): ModelManifest {
  const [better, worse] = RANK[other.source] > RANK[known.source] ? [other, known] : [known, other];
  const agree = better.source === worse.source && conflictsOf(better, worse).length === 0;
  const tensors = better.tensors.map((tensor, at) => {
    const more = worse.tensors[at];
    const sha256 = tensor.sha256 ?? (agree ? more?.sha256 : null) ?? null;
    const isSame = agree || (sha256 !== null && sha256 === more?.sha256);
    return { ...tensor, sha256, fnv1a: tensor.fnv1a ?? (isSame ? more?.fnv1a : null) ?? null };
  });
  if (!agree) return { ...better, tensors };
  return {
    ...better,
    tensors,
    parts: better.parts.map((part, at) => ({ ...part, sha256: part.sha256 ?? worse.parts[at]?.sha256 ?? null })),
    blocks: better.blocks.map((block, at) => block ?? worse.blocks[at] ?? null),
  };
}

/** A manifest with digests put in, for a header that has none, or to add to those it has. */
export function withDigests(manifest: ModelManifest, known: KnownDigests): ModelManifest {
  return betterManifest(manifest, {
    ...manifest,
    source: known.source,
    parts: manifest.parts.map((part, at) => ({ ...part, sha256: known.parts[at] ?? null })),
    tensors: manifest.tensors.map((tensor) => {
      const { sha256 = null, fnv1a = null } = known.tensors.get(tensor.name) ?? {};
      return { ...tensor, sha256, fnv1a };
    }),
    blocks: manifest.blocks.map((_, at) => known.blocks.get(at) ?? null),
  });
}
