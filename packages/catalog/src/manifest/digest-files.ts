import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { brokenModel } from "../broken-model.ts";
import type { ShardLayout } from "../shards/shard-layout.ts";
import type { KnownDigests, ManifestTensor, ModelManifest } from "./manifest.ts";
import { createRangeDigests } from "./range-digests.ts";

/** Read at once: hashing it three times holds the event loop for a millisecond or two. */
const CHUNK_BYTES: number = 256 * 1024;

export interface DigestFilesOptions {
  /** Of the model's parts, in order. */
  readonly paths: readonly string[];
  readonly layout: ShardLayout;
  /** What the parts must be, as a hub tells; null: nobody tells. */
  readonly expected: readonly string[] | null;
  /** The one part to read; absent: all of them. */
  readonly part?: number;
  /** The share of one core's time that this may take: the rest of it is slept through. 0 to 1. */
  readonly share: number;
  readonly signal: AbortSignal;
}

/**
 * Reads a model's whole files once, for the SHA-256 of every part, tensor and block. Only where the hub tells what the parts must be, and they
 * are, are the digests its (`source: "hub"`). Throws `model_broken` where a part is something else, or changes while it is read.
 */
export async function digestFiles(manifest: ModelManifest, options: DigestFilesOptions): Promise<KnownDigests> {
  const { paths, layout, expected } = options;
  const tensors: [string, { readonly sha256: string | null; readonly fnv1a: null }][] = [];
  const blocks: [number, string][] = [];
  const parts: (string | null)[] = paths.map(() => null);
  for (const [part, path] of paths.entries()) {
    if (options.part !== undefined && options.part !== part) continue;
    const inPart = manifest.tensors
      .filter((tensor) => tensor.part === part && tensor.bytes > 0)
      .toSorted((a, b) => a.offset - b.offset);
    const own = layout.blocks.filter((block) => block.part === part);
    const ofTensors = createRangeDigests(inPart.map((tensor: ManifestTensor) => range(tensor.offset, tensor.bytes)));
    const ofBlocks = createRangeDigests(own.map(({ position, bytes }) => range(position, bytes)));
    const sha256 = await readPart(path, manifest.parts[part]?.bytes ?? 0, options, (bytes) => {
      ofTensors.push(bytes);
      ofBlocks.push(bytes);
    });
    const wanted = expected?.[part];
    if (wanted !== undefined && wanted !== sha256)
      throw brokenModel(path, `its SHA-256 is ${sha256}, the hub says ${wanted}`, "delete it and fetch it again");
    parts[part] = sha256;
    for (const [at, digest] of ofTensors.digests) tensors.push([inPart[at]?.name ?? "", { sha256: digest, fnv1a: null }]);
    for (const [at, digest] of ofBlocks.digests) if (digest !== null) blocks.push([own[at]?.index ?? 0, digest]);
  }
  const isHubs = expected !== null && expected.length === parts.length;
  return { source: isHubs ? "hub" : "file", parts, tensors: new Map(tensors), blocks: new Map(blocks) };
}

const range = (from: number, bytes: number): { from: number; to: number } => ({ from, to: from + bytes });

async function readPart(
  path: string,
  fileBytes: number,
  { share, signal }: DigestFilesOptions,
  take: (bytes: Buffer) => void,
): Promise<string> {
  const whole = createHash("sha256");
  await using handle = await open(path, "r");
  const before = await handle.stat({ bigint: true });
  const window = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = 0; at < fileBytes;) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(window, 0, Math.min(CHUNK_BYTES, fileBytes - at), at);
    if (bytesRead === 0) throw brokenModel(path, "the file became shorter while it was read");
    const begunMs = performance.now();
    const bytes = window.subarray(0, bytesRead);
    whole.update(bytes);
    take(bytes);
    at += bytesRead;
    if (share < 1) await pause((performance.now() - begunMs) * (1 / share - 1), undefined, { signal });
  }
  const after = await handle.stat({ bigint: true });
  if (after.size !== before.size || after.mtimeNs !== before.mtimeNs)
    throw brokenModel(path, "it was changed while it was read", "try again");
  return whole.digest("hex");
}
