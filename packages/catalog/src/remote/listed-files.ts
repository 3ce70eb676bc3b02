import type { HubFile } from "./choose-files.ts";
import { FILE_PATH_LENGTH_MAX, LISTED_FILES_MAX } from "./hub-limits.ts";

/** A file as a hub's listing tells of it; null where its name is none that a path should have. */
export function listedFile(path: unknown, size: unknown, sha256: unknown): HubFile | null {
  if (typeof path !== "string" || !isPlainPath(path)) return null;
  // Some say by which algorithm.
  const digest = typeof sha256 === "string" ? sha256.replace(/^sha256:/u, "") : "";
  return {
    path,
    bytes: typeof size === "number" && Number.isSafeInteger(size) && size >= 0 ? size : null,
    sha256: /^[0-9a-f]{64}$/u.test(digest) ? digest : null,
  };
}

/** The files among a listing's entries. */
export function listedFiles(
  entries: readonly unknown[],
  read: (entry: Readonly<Record<string, unknown>>) => HubFile | null,
): readonly HubFile[] {
  return entries.slice(0, LISTED_FILES_MAX).flatMap((entry) => {
    const file = typeof entry === "object" && entry !== null ? read(entry as Readonly<Record<string, unknown>>) : null;
    return file === null ? [] : [file];
  });
}

function isPlainPath(path: string): boolean {
  return (
    path.length <= FILE_PATH_LENGTH_MAX &&
    // oxlint-disable-next-line no-control-regex
    !/[\u0000-\u001F\u007F\\]/u.test(path) &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== "..")
  );
}
