import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import type { HubFile } from "./choose-files.ts";
import type { HubConfig } from "./hub-config.ts";
import { LISTING_BYTES_MAX } from "./hub-limits.ts";
import { DEFAULT_REVISION, type HubRef } from "./hub-ref.ts";
import { hubGet } from "./hub-request.ts";
import { listTree } from "./list-tree.ts";
import { listedFile, listedFiles } from "./listed-files.ts";

/** A repository at one commit: its files never change. */
export interface Listing {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** The files of a repository at a revision, kept in `cacheFile` for when the hub is not to be asked. */
export async function listRepository(
  config: HubConfig,
  { repo, revision }: HubRef,
  cacheFile: string,
  signal: AbortSignal,
): Promise<Listing> {
  if (config.offline) return keptListing(repo, cacheFile);
  const told = await askListing(config, { repo, revision }, signal);
  const listing = isComplete(told) ? told : await withTree(config, repo, told, signal);
  await mkdir(dirname(cacheFile), { recursive: true });
  // Two may ask at once.
  const temporary = `${cacheFile}.${randomUUID()}.tmp`;
  await writeFile(temporary, JSON.stringify(listing));
  await rename(temporary, cacheFile);
  return listing;
}

/** What the hub says of a repository. Throws what it says against that. */
async function askListing(
  config: HubConfig,
  { repo, revision }: Pick<HubRef, "repo" | "revision">,
  signal: AbortSignal,
): Promise<Listing> {
  const ask = (path: string): ReturnType<typeof hubGet> =>
    // One byte more than there may be tells of what was cut.
    hubGet(config, { path: `/api/models/${repo}${path}?blobs=true`, repo, mayLeave: false }, LISTING_BYTES_MAX + 1, signal);
  const { body } = await ask(`/revision/${encodeURIComponent(revision)}`).catch(async (thrown: unknown) => {
    const isAbsent = thrown instanceof ClusterdError && thrown.code === "not_found";
    if (!isAbsent || revision !== DEFAULT_REVISION) throw thrown;
    // A mirror may know its repositories without their revisions.
    return ask("").catch(() => {
      throw thrown;
    });
  });
  const listing = body.length > LISTING_BYTES_MAX ? null : parseListing(body.toString("utf8"));
  if (listing !== null) return listing;
  throw new ClusterdError("failed", `${new URL(config.endpoint).host} does not list the files of ${repo} as a hub does.`, {
    next: "Check HF_ENDPOINT.",
  });
}

/** Whether it tells how large the models are, and their digests. */
function isComplete({ files }: Listing): boolean {
  return files.every(({ path, bytes, sha256 }) => !path.toLowerCase().endsWith(".gguf") || (bytes !== null && sha256 !== null));
}

/** With what the hub's tree tells besides; a hub that has none is no worse than before. */
async function withTree(config: HubConfig, repo: string, listing: Listing, signal: AbortSignal): Promise<Listing> {
  const tree = await listTree(config, { repo, commit: listing.commit }, signal).catch((): readonly HubFile[] => []);
  signal.throwIfAborted();
  const found = new Map(tree.map((file) => [file.path, file]));
  const files = listing.files.map(({ path, bytes, sha256 }) => ({
    path,
    bytes: bytes ?? found.get(path)?.bytes ?? null,
    sha256: sha256 ?? found.get(path)?.sha256 ?? null,
  }));
  return { commit: listing.commit, files };
}

async function keptListing(repo: string, cacheFile: string): Promise<Listing> {
  try {
    const { commit, files } = JSON.parse(await readFile(cacheFile, "utf8")) as { commit?: unknown; files?: unknown };
    const entries = (Array.isArray(files) ? files : []) as readonly ({
      path?: unknown;
      bytes?: unknown;
      sha256?: unknown;
    } | null)[];
    // A file as any other: what it names is looked at as what a hub names.
    const siblings = entries.map((one) => ({ rfilename: one?.path, size: one?.bytes, lfs: { sha256: one?.sha256 } }));
    const kept = parseListing(JSON.stringify({ sha: commit, siblings }));
    if (kept !== null) return kept;
  } catch {
    // Never asked for here, or damaged: said below.
  }
  throw new ClusterdError("not_found", `${repo} was not read here before, and HF_HUB_OFFLINE is set.`, {
    next: "Unset HF_HUB_OFFLINE, or give the path of a GGUF file.",
  });
}

/** What the hub's `/api/models/…` answers; null where it is something else. Files with names that no path should have are left out. */
export function parseListing(text: string): Listing | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  const { sha, siblings } = (json ?? {}) as { sha?: unknown; siblings?: unknown };
  if (typeof sha !== "string" || !/^[0-9a-f]{7,64}$/u.test(sha) || !Array.isArray(siblings)) return null;
  const files = listedFiles(siblings, ({ rfilename, size, lfs }) => {
    const { sha256, oid } = (lfs ?? {}) as { sha256?: unknown; oid?: unknown };
    return listedFile(rfilename, size, sha256 ?? oid);
  });
  return { commit: sha, files };
}
