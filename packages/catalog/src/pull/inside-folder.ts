import { realpath } from "node:fs/promises";
import { dirname, sep } from "node:path";
import { ClusterdError } from "@clusterd/wire";

/**
 * Throws where writing or deleting at a path would happen outside of a folder, by way of a link in it. The folder itself may be a link: to keep
 * models on another disk is a person's own choice.
 */
export async function mustBeInside(folder: string, path: string): Promise<void> {
  const root = await realpath(folder).catch(() => null);
  // Nothing is there yet, and so no link.
  if (root === null) return;
  let above = dirname(path);
  let real: string | null = null;
  while (real === null && above !== dirname(above)) {
    real = await realpath(above).catch(() => null);
    above = dirname(above);
  }
  if (real === null || real === root || real.startsWith(root + sep)) return;
  throw new ClusterdError("invalid_request", `${path} lies outside of ${folder}: a link leads there.`, {
    next: "Nothing is written or deleted by way of it. To keep all models elsewhere, make the models folder itself the link.",
  });
}
