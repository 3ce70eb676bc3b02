import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join, posix } from "node:path";
import { asModelId, hubId, type HubPlace, type ModelProfile, type Projector } from "@clusterd/wire";
import { buildProfile } from "../build-profile.ts";
import { newContentHash, walkHeader, type GuardedHeader } from "../header-guard.ts";
import { readMetadata } from "../read-metadata.ts";
import { chooseProjector } from "../choose-projector.ts";
import { projectorOf } from "../projector.ts";
import { checkParts } from "../split-parts.ts";
import { chooseFiles, type HubFile } from "./choose-files.ts";
import { hubConfig, type HubConfig } from "./hub-config.ts";
import { KEPT_REPOSITORIES_MAX } from "./hub-limits.ts";
import { parseHubRef } from "./hub-ref.ts";
import { listRepository, type Listing } from "./list-repository.ts";
import { openRemoteStart } from "./remote-header.ts";

export interface ReadRemoteOptions {
  /** Where listings and headers are kept. */
  readonly cacheDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** A model on a hub: what it is like, and where its files are. */
export interface RemoteModel {
  readonly profile: ModelProfile;
  readonly place: HubPlace;
  /** Of its files, one after the other; null: the hub does not tell. */
  readonly sha256: string | null;
}

/**
 * A model on a hub, from the headers of its files: a few megabytes, no weights. They go through the same guard as files
 * on the disk; headers are kept by commit. Throws `usage`, `not_found`, `not_admitted`, `unsupported`, `timeout`, `model_broken`.
 */
export async function readRemoteModel(ref: string, options: ReadRemoteOptions): Promise<RemoteModel> {
  const { cacheDir, env, signal } = options;
  const hubRef = parseHubRef(ref);
  const { repo } = hubRef;
  const config = hubConfig(env);
  const listing = await listRepository(config, hubRef, join(cacheDir, `${keyOf(config, repo, hubRef.revision)}.json`), signal);
  const { quantisation, files } = chooseFiles(repo, listing.files, hubRef.quantisation);
  const folder = join(cacheDir, keyOf(config, repo, listing.commit));
  await mkdir(folder, { recursive: true });
  const hash = newContentHash();
  const headers: GuardedHeader[] = [];
  for (const file of files)
    headers.push(
      (await keptHeader(folder, file, hash, signal)) ??
        (await fetchedHeader(config, { repo, commit: listing.commit, file }, folder, hash, signal)),
    );
  checkParts(headers);
  const [first] = headers;
  const profile = buildProfile(headers, hash.digest("hex"), await readMetadata(first?.path ?? "", signal));
  await forgetOldest(cacheDir);
  const parts = files.map(({ path }, part) => ({ path, bytes: headers[part]?.fileBytes ?? 0 }));
  const id = hubId(repo, quantisation, hubRef.revision);
  const seen = await remoteProjector({ config, repo, listing, folder, signal }, files, profile.embeddingLength);
  return {
    profile: { ...profile, id: asModelId(id), projector: seen?.projector ?? null },
    place: { id, repo, commit: listing.commit, files: parts, projector: seen?.place ?? null },
    sha256: files.every(({ sha256 }) => sha256 !== null) ? files.map(({ sha256 }) => sha256).join("") : null,
  };
}

interface Remote {
  readonly config: HubConfig;
  readonly repo: string;
  readonly listing: Listing;
  /** Where its headers are kept. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

/** What lets a model see images, from the same commit; null where there is none that fits, or none that can be read. */
async function remoteProjector(
  { config, repo, listing: { commit, files }, folder, signal }: Remote,
  [model]: readonly HubFile[],
  embeddingLength: number,
): Promise<{ readonly projector: Projector; readonly place: NonNullable<HubPlace["projector"]> } | null> {
  const path =
    model === undefined
      ? null
      : chooseProjector(
          model.path,
          files.map((file) => file.path),
        );
  const file = files.find((each) => each.path === path);
  if (file === undefined) return null;
  try {
    const hash = newContentHash();
    const header =
      (await keptHeader(folder, file, hash, signal)) ??
      (await fetchedHeader(config, { repo, commit, file }, folder, hash, signal));
    const projector = projectorOf(header, await readMetadata(header.path, signal), embeddingLength);
    return projector === null ? null : { projector, place: { path: file.path, bytes: header.fileBytes } };
  } catch {
    signal.throwIfAborted();
    // The model answers texts without it.
    return null;
  }
}

function keyOf(config: HubConfig, repo: string, revision: string): string {
  return createHash("sha256").update(`${config.endpoint}\n${repo}\n${revision}`).digest("hex").slice(0, 32);
}

/** Where a file's header is kept: under its own name, which tells parts apart; folders become part of it. */
function pathIn(folder: string, file: HubFile): string {
  return join(folder, createHash("sha256").update(posix.dirname(file.path)).digest("hex").slice(0, 8), posix.basename(file.path));
}

async function keptHeader(
  folder: string,
  file: HubFile,
  hash: ReturnType<typeof newContentHash>,
  signal: AbortSignal,
): Promise<GuardedHeader | null> {
  const path = pathIn(folder, file);
  try {
    const fileBytes = Number(await readFile(`${path}.bytes`, "utf8"));
    await using handle = await open(path, "r");
    // Hashed apart first: a damaged copy must leave no trace in the content's hash.
    await walkHeader(handle, path, fileBytes, newContentHash(), signal);
    return await walkHeader(handle, path, fileBytes, hash, signal);
  } catch {
    signal.throwIfAborted();
    // Not kept yet, or damaged: it is fetched.
    return null;
  }
}

async function fetchedHeader(
  config: HubConfig,
  place: { readonly repo: string; readonly commit: string; readonly file: HubFile },
  folder: string,
  hash: ReturnType<typeof newContentHash>,
  signal: AbortSignal,
): Promise<GuardedHeader> {
  const path = pathIn(folder, place.file);
  const remote = await openRemoteStart(config, place, signal);
  const header = await walkHeader(remote, path, remote.fileBytes, hash, signal);
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(`${path}.bytes`, String(remote.fileBytes));
  const temporary = `${path}.${randomUUID()}.tmp`;
  await writeFile(temporary, remote.start(header.dataStart));
  await rename(temporary, path);
  return header;
}

/** Headers are megabytes: those longest not written go. */
async function forgetOldest(cacheDir: string): Promise<void> {
  const entries = await readdir(cacheDir);
  if (entries.length <= 2 * KEPT_REPOSITORIES_MAX) return;
  const aged = await Promise.all(
    entries.map(async (name) => ({ name, ms: (await stat(join(cacheDir, name)).catch(() => null))?.mtimeMs ?? 0 })),
  );
  for (const { name } of aged.toSorted((a, b) => a.ms - b.ms).slice(0, entries.length - 2 * KEPT_REPOSITORIES_MAX))
    await rm(join(cacheDir, name), { recursive: true, force: true });
}
