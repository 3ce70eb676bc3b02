import type { HubFile } from "./choose-files.ts";
import type { HubConfig } from "./hub-config.ts";
import { LISTED_FILES_MAX, LISTING_BYTES_MAX, TREE_PAGES_MAX } from "./hub-limits.ts";
import { hubGet } from "./hub-request.ts";
import { listedFile, listedFiles } from "./listed-files.ts";

/** The files in a repository's folders at a commit, page by page, as far as the hub tells of them. */
export async function listTree(
  config: HubConfig,
  { repo, commit }: { readonly repo: string; readonly commit: string },
  signal: AbortSignal,
): Promise<readonly HubFile[]> {
  const files: HubFile[] = [];
  let path: string | null = `/api/models/${repo}/tree/${commit}?recursive=true`;
  for (let page = 0; path !== null && page < TREE_PAGES_MAX && files.length < LISTED_FILES_MAX; page++) {
    const { body, headers } = await hubGet(config, { path, repo, mayLeave: false }, LISTING_BYTES_MAX + 1, signal);
    if (body.length > LISTING_BYTES_MAX) break;
    files.push(...parseTree(body.toString("utf8")));
    path = nextPage(config, path, headers.get("link"));
  }
  return files;
}

/** What the hub's `/api/models/…/tree/…` answers. */
export function parseTree(text: string): readonly HubFile[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return [];
  }
  if (!Array.isArray(json)) return [];
  return listedFiles(json, ({ type, path, size, lfs }) => {
    const { oid, size: stored } = (lfs ?? {}) as { oid?: unknown; size?: unknown };
    return type === "file" ? listedFile(path, stored ?? size, oid) : null;
  });
}

/** The path of the page that a `Link` header names, where that is of this hub. */
function nextPage({ endpoint }: HubConfig, path: string, link: string | null): string | null {
  const [, named] = /<([^<>]{1,2000})>\s*;\s*rel="next"/u.exec(link ?? "") ?? [];
  if (named === undefined || !URL.canParse(named, endpoint + path)) return null;
  const { href } = new URL(named, endpoint + path);
  return href.startsWith(`${endpoint}/`) ? href.slice(endpoint.length) : null;
}
