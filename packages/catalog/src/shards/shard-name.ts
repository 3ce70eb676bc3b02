import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const CALLED = "model.json";
const CALLED_LENGTH_MAX = 256;

/** Writes down what a model of which there are parts is called where it is deployed. */
export async function callIt(folder: string, model: string): Promise<void> {
  await writeFile(join(folder, CALLED), JSON.stringify({ model }));
}

/** What it was called when it was begun; null: not said. */
export async function calledIn(folder: string): Promise<string | null> {
  try {
    const { model } = JSON.parse(await readFile(join(folder, CALLED), "utf8")) as { readonly model?: unknown };
    return typeof model === "string" && model.length > 0 && model.length <= CALLED_LENGTH_MAX ? model : null;
  } catch {
    // Of an older version, or damaged: it is called as its file.
    return null;
  }
}
