import { createHash } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import { chooseFiles, type HubFile } from "../remote/choose-files.ts";
import { hubConfig } from "../remote/hub-config.ts";
import { parseHubRef } from "../remote/hub-ref.ts";
import { listRepository } from "../remote/list-repository.ts";
import { checkDiskRoom } from "./disk-room.ts";
import { downloadFile } from "./download-file.ts";
import { hubSource } from "./hub-source.ts";
import { pullPath } from "./pull-path.ts";
import { pulledFiles, recordPulled } from "./pulled-files.ts";

export interface PullOptions {
  /** Repositories get a folder each in it. */
  readonly modelsDir: string;
  /** Where listings are kept. */
  readonly cacheDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** Bytes of all files together, those there before included. */
  readonly onProgress: (progress: PullProgress) => void;
}

export interface PullProgress {
  readonly step: "listing" | "fetching" | "verifying";
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** A model whose files are all here, verified. */
export interface PulledModel {
  /** `OWNER/REPO:QUANT`. */
  readonly id: string;
  /** Of the first part. */
  readonly path: string;
  readonly bytes: number;
  /** Of the one file, or of the digests of all parts, each as hex, one after the other. */
  readonly sha256: string;
}

/**
 * Fetches all files of `hf:OWNER/REPO[:QUANT][@REVISION]` into the models folder. What is there already is not fetched again. Only the
 * configured hub, and where it sends one for its files, is asked. Throws `usage`, `not_found`, `not_admitted`, `does_not_fit` (disk),
 * `model_broken` (wrong bytes), `timeout`, `failed`.
 */
export async function pullModel(ref: string, options: PullOptions): Promise<PulledModel> {
  const { modelsDir, cacheDir, signal, onProgress } = options;
  const hubRef = parseHubRef(ref);
  const { repo } = hubRef;
  const config = hubConfig(options.env);
  onProgress({ step: "listing", doneBytes: 0, totalBytes: 0 });
  const key = createHash("sha256").update(`${config.endpoint}\n${repo}\n${hubRef.revision}`).digest("hex").slice(0, 32);
  const { commit, files: listed } = await listRepository(config, hubRef, join(cacheDir, `${key}.json`), signal);
  const { quantisation, files } = chooseFiles(repo, listed, hubRef.quantisation);
  const folder = join(modelsDir, ...repo.split("/"));
  const places = files.map((file) => ({ ...sized(repo, file), target: pullPath(modelsDir, repo, file.path) }));
  await mkdir(folder, { recursive: true });
  const kept = await pulledFiles(folder);
  const totalBytes = places.reduce((sum, { bytes }) => sum + bytes, 0);

  const missing: typeof places = [];
  const digests = new Map<string, string>();
  for (const place of places) {
    const known = kept.find(({ path, bytes }) => path === place.path && bytes === place.bytes);
    const isSame = known !== undefined && (place.sha256 === null ? known.commit === commit : known.sha256 === place.sha256);
    if (isSame && (await sizeOf(place.target)) === place.bytes) digests.set(place.path, known.sha256);
    else missing.push(place);
  }
  if (missing.length > 0 && config.offline)
    throw new ClusterdError("not_found", `${missing.length} of ${repo}'s files are not here, and HF_HUB_OFFLINE is set.`, {
      next: "Unset HF_HUB_OFFLINE to fetch them.",
    });
  // Of all files at once, before the first byte: half a model is no use. What earlier tries have left is looked at file by file.
  const begun = await Promise.all(
    missing.map(async ({ target, bytes }) => ((await sizeOf(`${target}.part`)) === bytes ? bytes : 0)),
  );
  const missingBytes = missing.reduce((sum, { bytes }) => sum + bytes, 0);
  await checkDiskRoom(
    folder,
    Math.max(0, missingBytes - begun.reduce((sum, bytes) => sum + bytes, 0)),
    `${repo}:${quantisation}`,
  );

  let before = totalBytes - missingBytes;
  for (const { path, bytes, sha256, target } of missing) {
    const found = await downloadFile({
      source: hubSource(config, { repo, commit, path }),
      target,
      fileBytes: bytes,
      sha256,
      signal,
      onProgress: (doneBytes, step) => onProgress({ step, doneBytes: before + doneBytes, totalBytes }),
    });
    await recordPulled(folder, { path, bytes, sha256: found.sha256, commit, quantisation });
    digests.set(path, found.sha256);
    before += bytes;
  }
  const [first] = places;
  const all = places.map(({ path }) => digests.get(path) ?? "");
  return {
    id: `${repo}:${quantisation}`,
    path: first?.target ?? "",
    bytes: totalBytes,
    sha256: all.length === 1 ? (all[0] ?? "") : createHash("sha256").update(all.join("")).digest("hex"),
  };
}

function sized(repo: string, file: HubFile): HubFile & { readonly bytes: number } {
  const { bytes } = file;
  if (bytes === null)
    throw new ClusterdError("failed", `The hub does not tell how large ${repo}'s ${file.path} is.`, {
      next: "Fetch it yourself and give its path.",
    });
  return { ...file, bytes };
}

async function sizeOf(path: string): Promise<number | null> {
  return stat(path).then(
    ({ size }) => size,
    () => null,
  );
}
