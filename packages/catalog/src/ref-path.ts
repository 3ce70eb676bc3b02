import { homedir } from "node:os";
import { isAbsolute, join, normalize, win32 } from "node:path";
import { ClusterdError, parseHubName } from "@clusterd/wire";

/** Whether a REF can only be a path: names and hubs' names are none. */
export function isPath(ref: string): boolean {
  if (ref.startsWith("hf:")) return false;
  return (
    isAbsolute(ref) ||
    win32.isAbsolute(ref) ||
    /^~[/\\]|^\.{1,2}[/\\]|\.gguf$/iu.test(ref) ||
    (/[/\\]/u.test(ref) && parseHubName(ref) === null)
  );
}

/**
 * The whole path that a REF is; null where it is none. Throws `usage` for one that begins nowhere: where the daemon runs is not where the person
 * is who wrote it, whose command makes whole paths of all.
 */
export function pathOf(ref: string): string | null {
  if (!isPath(ref)) return null;
  if (/^~[/\\]/u.test(ref)) return join(homedir(), ref.slice(2));
  if (isAbsolute(ref)) return normalize(ref);
  return null;
}

/** Throws `usage` for a path that begins nowhere. */
export function mustBeWhole(ref: string): void {
  if (isPath(ref) && pathOf(ref) === null)
    throw new ClusterdError("usage", `${JSON.stringify(ref.slice(0, 200))} is no whole path.`, {
      next: "Give it from the root on, as in /home/me/models/model.gguf.",
    });
}
