import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { ClusterdError } from "@clusterd/wire";
import type { HubFile } from "./choose-files.ts";
import type { HubConfig } from "./hub-config.ts";
import { FILE_PATH_LENGTH_MAX, LISTED_FILES_MAX, LISTING_BYTES_MAX } from "./hub-limits.ts";
import { hubGet } from "./hub-request.ts";
import type { HubRef } from "./hub-ref.ts";

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
  const path = `/api/models/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`;
  // One byte more than there may be tells of what was cut.
  const { body } = await hubGet(config, { path, repo, mayLeave: false }, LISTING_BYTES_MAX + 1, signal);
  const listing = body.length > LISTING_BYTES_MAX ? null : parseListing(body.toString("utf8"));
  if (listing === null)
    throw new ClusterdError("failed", `${new URL(config.endpoint).host} does not list the files of ${repo} as a hub does.`, {
      next: "Check HF_ENDPOINT.",
    });
  await mkdir(dirname(cacheFile), { recursive: true });
  await writeFile(`${cacheFile}.${process.pid}.tmp`, JSON.stringify(listing));
  await rename(`${cacheFile}.${process.pid}.tmp`, cacheFile);
  return listing;
}

async function keptListing(repo: string, cacheFile: string): Promise<Listing> {
  try {
    const kept = JSON.parse(await readFile(cacheFile, "utf8")) as Listing;
    if (typeof kept.commit === "string" && Array.isArray(kept.files)) return kept;
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
  const files = siblings.slice(0, LISTED_FILES_MAX).flatMap((entry: unknown): HubFile[] => {
    const { rfilename: path, size, lfs } = (entry ?? {}) as { rfilename?: unknown; size?: unknown; lfs?: unknown };
    if (typeof path !== "string" || !isPlainPath(path)) return [];
    const { sha256 } = (lfs ?? {}) as { sha256?: unknown };
    return [
      {
        path,
        bytes: typeof size === "number" && Number.isSafeInteger(size) && size >= 0 ? size : null,
        sha256: typeof sha256 === "string" && /^[0-9a-f]{64}$/u.test(sha256) ? sha256 : null,
      },
    ];
  });
  return { commit: sha, files };
}

function isPlainPath(path: string): boolean {
  return (
    path.length <= FILE_PATH_LENGTH_MAX &&
    // oxlint-disable-next-line no-control-regex
    !/[\u0000-\u001F\u007F\\]/u.test(path) &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== "..")
  );
}
