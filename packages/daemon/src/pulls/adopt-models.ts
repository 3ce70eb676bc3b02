import { homedir } from "node:os";
import type { Catalog } from "@clusterd/catalog";
import { asClusterdError } from "@clusterd/wire";

/** Between two looks at what is on the disk: while no folder has changed, a look costs a few hundred `stat`. */
const LOOK_MS = 15_000;
/** Files that are told of once each, as not used. */
const TOLD_MAX = 1024;

export interface AdoptOptions {
  readonly catalog: Catalog;
  say(message: string, level?: "info" | "warn"): void;
  modelsChanged(): void;
  readonly signal: AbortSignal;
}

/** What keeps the list of this node's models true. */
export interface ModelWatch extends Disposable {
  /** Looks now, and tells the cluster where something came or went. */
  look(): Promise<void>;
}

/**
 * Lists what other tools have on this disk, beside what else a node does at its start (reading a header takes a moment each), and looks again now
 * and then: what another tool has fetched a minute ago is found, and what it has deleted is told of no more.
 */
export function watchModels({ catalog, say, modelsChanged, signal }: AdoptOptions): ModelWatch {
  const told = new Set(catalog.problems().map(({ path, message }) => `${path} ${message}`));
  function tellProblems(): void {
    for (const { path, message } of catalog.problems()) {
      const line = `${path} ${message}`;
      if (told.has(line) || told.size >= TOLD_MAX) continue;
      told.add(line);
      say(`${path} is not used: ${message}`, "warn");
    }
  }
  async function first(): Promise<void> {
    try {
      const found = await catalog.adopt({ homeDir: homedir(), platform: process.platform, env: process.env }, signal);
      tellProblems();
      if (found <= 0) return;
      modelsChanged();
      say(`${found} ${found === 1 ? "model" : "models"} of other tools found on this disk: clusterd models`);
    } catch (error) {
      if (!signal.aborted) say(`models of other tools could not be listed: ${asClusterdError(error).message}`);
    }
  }
  const adopting = first();
  let looking: Promise<void> | null = null;
  async function lookNow(): Promise<void> {
    await adopting;
    if (await catalog.refresh(signal)) modelsChanged();
    tellProblems();
  }
  function look(): Promise<void> {
    looking ??= lookNow()
      .catch((error: unknown) => {
        if (!signal.aborted) say(`the models on this disk could not be listed: ${asClusterdError(error).message}`);
      })
      .finally(() => (looking = null));
    return looking;
  }
  const timer = setInterval(() => void look(), LOOK_MS);
  return { look, [Symbol.dispose]: () => clearInterval(timer) };
}
