import { homedir } from "node:os";
import type { Catalog } from "@clusterd/catalog";
import { asClusterdError } from "@clusterd/wire";

export interface AdoptOptions {
  say(message: string): void;
  modelsChanged(): void;
  readonly signal: AbortSignal;
}

/** Lists what other tools have on this disk, beside what else a node does at its start: reading a header takes a moment each. */
export async function adoptModels(catalog: Catalog, { say, modelsChanged, signal }: AdoptOptions): Promise<void> {
  try {
    const found = await catalog.adopt({ homeDir: homedir(), platform: process.platform, env: process.env }, signal);
    if (found === 0) return;
    modelsChanged();
    say(`${found} ${found === 1 ? "model" : "models"} of other tools found on this disk: clusterd models`);
  } catch (error) {
    if (!signal.aborted) say(`models of other tools could not be listed: ${asClusterdError(error).message}`);
  }
}
