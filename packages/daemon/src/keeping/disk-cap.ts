import { readIfPresent, writePrivateFile } from "../home/private-file.ts";

/** How much of the disk models may take, as it was said last; null: no limit. A damaged record is none, which is told. */
export async function diskCap(
  path: string,
  given: number | null | undefined,
  warn: (message: string) => void,
): Promise<number | null> {
  if (given !== undefined) {
    await writePrivateFile(path, `${JSON.stringify({ capBytes: given })}\n`);
    return given;
  }
  const text = await readIfPresent(path);
  if (text === null) return null;
  try {
    const { capBytes } = JSON.parse(text) as { readonly capBytes?: unknown };
    if (capBytes === null) return null;
    if (typeof capBytes === "number" && Number.isFinite(capBytes) && capBytes >= 0) return capBytes;
  } catch {
    // Said below.
  }
  warn(`${path} is damaged: models may take all of the disk. Say it again: clusterd join --disk SIZE`);
  return null;
}
