import { join, relative, sep } from "node:path";
import { folderOf, pulledFiles } from "../pull/pulled-files.ts";
import type { ModelFile } from "../read-model.ts";

/**
 * SHA-256 of a model's parts, in order, as the hub told them when they were pulled into `modelsDir`; null for any other model, and where
 * not all of them are recorded.
 */
export async function hubDigestsOf(file: ModelFile, modelsDir: string): Promise<readonly string[] | null> {
  const digests: string[] = [];
  for (const [part, path] of file.parts.entries()) {
    const [owner, repo, ...within] = relative(modelsDir, path).split(sep);
    if (owner === undefined || repo === undefined || owner === ".." || within.length === 0) return null;
    const files = await pulledFiles(join(modelsDir, owner, repo));
    const found = files.find((one) => [folderOf(one), one.path].filter(Boolean).join("/") === within.join("/"));
    if (found === undefined) return null;
    digests[part] = found.sha256;
  }
  return digests;
}
