import { createHash } from "node:crypto";
import { link, mkdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ClusterdError, hubId } from "@clusterd/wire";
import { chooseProjector } from "../choose-projector.ts";
import { chooseFiles, type HubFile } from "../remote/choose-files.ts";
import { hubConfig } from "../remote/hub-config.ts";
import { parseHubRef } from "../remote/hub-ref.ts";
import { listRepository } from "../remote/list-repository.ts";
import { choosePlace, type WantedFile } from "./choose-place.ts";
import { checkDiskRoom, type MakeRoom } from "./disk-room.ts";
import { makeFolder } from "./disk-error.ts";
import { downloadFile } from "./download-file.ts";
import { gatherFiles, type Gather } from "./gather.ts";
import { hubSource } from "./hub-source.ts";
import { mustBeInside } from "./inside-folder.ts";
import { assignRevision, BESIDE, folderOf, pulledFiles, recordPulled } from "./pulled-files.ts";
import { pulledPath } from "./pulled-models.ts";
import { sizeOf } from "./size-of.ts";
import { throttledSource, type Throttle } from "./throttled-source.ts";

export interface PullOptions {
  /** Repositories get a folder each in it. */
  readonly modelsDir: string;
  /** Where listings are kept. */
  readonly cacheDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** Bytes of all files together, those there before included. */
  readonly onProgress: (progress: PullProgress) => void;
  /** Asked first for the model's own files, where none of them is here. */
  readonly gather?: Gather;
  /** For what comes from the hub. */
  readonly throttle?: Throttle;
  /** False: what lets the model see images stays on the hub. */
  readonly projector?: boolean;
  /** Asked before the first byte. */
  readonly makeRoom?: MakeRoom;
}

export interface PullProgress {
  readonly step: "listing" | "fetching" | "verifying";
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** A model whose files are all here, verified. */
export interface PulledModel {
  /** `OWNER/REPO:QUANT`, with its revision where that is not `main`. */
  readonly id: string;
  /** Of the first part. */
  readonly path: string;
  readonly bytes: number;
  /** Of the one file, or of the digests of all parts, each as hex, one after the other. */
  readonly sha256: string;
}

/**
 * Fetches all files of `hf:OWNER/REPO[:QUANT][@REVISION]` into the models folder, and what lets the model see images. What is there already is
 * not fetched again, and never overwritten: files of another commit get a folder of their own. Only the configured hub, and where it sends one
 * for its files, is asked. Throws `usage`, `not_found`, `not_admitted`, `does_not_fit` (disk), `model_broken` (wrong bytes), `timeout`, `failed`.
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
  const wanted = [
    ...files.map((file) => ({ ...sized(repo, file), quantisation })),
    ...(options.projector === false ? [] : projectorAmong(repo, listed, files)),
  ];
  const repository = join(modelsDir, ...repo.split("/"));
  await mustBeInside(modelsDir, join(repository, "pulled.json"));
  await makeFolder(repository);
  const { folder, here } = await choosePlace({ modelsDir, repo, commit, quantisation, wanted });
  const places = wanted.map((file) => ({ ...file, target: pulledPath(modelsDir, repo, { path: file.path, folder }) }));
  const digests = new Map(here);
  const own = places.slice(0, files.length);
  // What another revision has costs nothing: it is linked below.
  const linkable = new Set((await pulledFiles(repository)).map(({ sha256 }) => sha256));
  if (options.gather !== undefined && !own.some(({ path, sha256 }) => here.has(path) || linkable.has(sha256 ?? ""))) {
    for (const { target } of own) await mustBeInside(modelsDir, target);
    const brought = await gatherFiles(options.gather, own, {
      place: { id: hubId(repo, quantisation, hubRef.revision), repo, commit },
      record: ({ path, bytes }, sha256) =>
        recordPulled(repository, { path, bytes, sha256, commit, quantisation, folder, revisions: [] }),
      signal,
      onProgress,
    });
    for (const [path, sha256] of brought) digests.set(path, sha256);
  }
  const missing = places.filter(({ path }) => !digests.has(path));
  const totalBytes = places.reduce((sum, { bytes }) => sum + bytes, 0);
  if (missing.length > 0 && config.offline)
    throw new ClusterdError("not_found", `${missing.length} of ${repo}'s files are not here, and HF_HUB_OFFLINE is set.`, {
      next: "Unset HF_HUB_OFFLINE to fetch them.",
    });
  for (const { target } of missing) await mustBeInside(modelsDir, target);
  // Of all files at once, before the first byte: half a model is no use. What earlier tries have left is looked at file by file.
  const begun = await Promise.all(missing.map(async ({ target, bytes }) => Math.min(bytes, await takenBy(`${target}.part`))));
  const missingBytes = missing.reduce((sum, { bytes }) => sum + bytes, 0);
  await checkDiskRoom(
    repository,
    Math.max(0, missingBytes - begun.reduce((sum, bytes) => sum + bytes, 0)),
    `${repo}:${quantisation}`,
    options.makeRoom,
  );

  let before = totalBytes - missingBytes;
  for (const file of missing) {
    const { path, bytes, sha256, target } = file;
    const record = { path, bytes, commit, quantisation: file.quantisation, folder, revisions: [] };
    // Another pull may have brought it by now: models of one repository share a projector.
    const known = (await pulledFiles(repository)).find((each) => each.path === path && folderOf(each) === folder);
    const isThere = known !== undefined && (known.sha256 === sha256 || known.commit === commit);
    if (isThere && (await sizeOf(target)) === bytes) digests.set(path, known.sha256);
    else {
      const linked = await linkFrom(options, repo, file);
      const found = linked
        ? { sha256: sha256 ?? "" }
        : await downloadFile({
            source: throttledSource(hubSource(config, { repo, commit, path, sha256 }), options.throttle),
            target,
            fileBytes: bytes,
            sha256,
            signal,
            onProgress: (doneBytes, step) => onProgress({ step, doneBytes: before + doneBytes, totalBytes }),
          });
      await recordPulled(repository, { ...record, sha256: found.sha256 });
      digests.set(path, found.sha256);
    }
    before += bytes;
  }
  await assignRevision(repository, { quantisation, folder }, hubRef.revision);
  const [first] = places;
  const all = files.map(({ path }) => digests.get(path) ?? "");
  return {
    id: hubId(repo, quantisation, hubRef.revision),
    path: first?.target ?? "",
    bytes: totalBytes,
    sha256: all.length === 1 ? (all[0] ?? "") : createHash("sha256").update(all.join("")).digest("hex"),
  };
}

/** What a file takes of the disk: what was begun has its full length from the start, and holes. */
async function takenBy(path: string): Promise<number> {
  return stat(path).then(
    ({ blocks }) => blocks * 512,
    () => 0,
  );
}

/** The projector that goes with a model, from the same listing. */
function projectorAmong(repo: string, listed: readonly HubFile[], [first]: readonly HubFile[]): readonly WantedFile[] {
  const path =
    first === undefined
      ? null
      : chooseProjector(
          first.path,
          listed.map((file) => file.path),
        );
  const file = listed.find((each) => each.path === path);
  return file === undefined ? [] : [{ ...sized(repo, file), quantisation: BESIDE }];
}

/** The very same file from another revision's folder: a second name for its bytes, which costs nothing. False where there is none. */
async function linkFrom(
  { modelsDir }: PullOptions,
  repo: string,
  { sha256, bytes, target }: WantedFile & { readonly target: string },
): Promise<boolean> {
  if (sha256 === null) return false;
  const same = (await pulledFiles(join(modelsDir, ...repo.split("/")))).filter((file) => file.sha256 === sha256);
  for (const file of same) {
    const from = pulledPath(modelsDir, repo, file);
    if (from === target || (await sizeOf(from)) !== bytes) continue;
    try {
      await mkdir(dirname(target), { recursive: true });
      await link(from, target);
      return true;
    } catch {
      // A disk without such links, say: it is fetched.
    }
  }
  return false;
}

function sized(repo: string, file: HubFile): HubFile & { readonly bytes: number } {
  const { bytes } = file;
  if (bytes === null)
    throw new ClusterdError("failed", `The hub does not tell how large ${repo}'s ${file.path} is.`, {
      next: "Fetch it yourself and give its path.",
    });
  return { ...file, bytes };
}
