import { stat } from "node:fs/promises";

/** What the system says of some files: another word once one of them has been written to. Null where one is gone. */
export async function stampOf(paths: readonly string[]): Promise<string | null> {
  const words: string[] = [];
  for (const path of paths) {
    const found = await stat(path, { bigint: true }).catch(() => null);
    if (found === null) return null;
    words.push(`${found.size}:${found.mtimeNs}:${found.ino}`);
  }
  return words.join(" ");
}
