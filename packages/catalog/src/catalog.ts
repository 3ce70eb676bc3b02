import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import { asClusterdError, asModelId, ClusterdError, sameModel, type ContentId, type ModelProfile } from "@clusterd/wire";
import { findKnown, knownProfileOf, namesNear } from "./known-models/find-known.ts";
import { FOLDER_ENTRIES_MAX, KNOWN_PATHS_MAX, PROBLEMS_MAX, REFERENCE_LENGTH_MAX } from "./limits.ts";
import { findForeign } from "./adopt/find-foreign.ts";
import type { ForeignPlaces, ForeignSource } from "./adopt/foreign-model.ts";
import { pullModel, type PullProgress, type PulledModel } from "./pull/pull-model.ts";
import { pulledModels, removePulled } from "./pull/pulled-models.ts";
import { partName } from "./split-parts.ts";
import { isProjectorName } from "./projector.ts";
import { readModelFile, type ModelFile } from "./read-model.ts";
import { DEFAULT_QUANTISATION } from "./remote/choose-files.ts";
import { readRemoteModel, type RemoteModel } from "./remote/read-remote.ts";

/** A model that comes with clusterd, under a short name. */
export interface BundledModel {
  readonly name: string;
  readonly path: string;
}

/** Where a model's file came from: with clusterd, in the home's folder, pulled into it, by its path, or another tool's. */
export type ModelSource = "bundled" | "home" | "pulled" | "path" | ForeignSource;

export interface CatalogEntry {
  readonly file: ModelFile;
  readonly aliases: readonly string[];
  readonly source: ModelSource;
}

/** The models that this node has on disk. */
export interface Catalog {
  list(): readonly CatalogEntry[];
  /** Files that were found and refused, with the reason. */
  problems(): readonly { readonly path: string; readonly message: string }[];
  /** The model of a REF: a path, a catalogued name, or the id of a known model. Remembers paths. Throws `not_found`, `model_broken`, `unsupported`. */
  resolve(ref: string, signal: AbortSignal): Promise<ModelFile>;
  /** What a model is like, to plan with: besides those of `resolve`, of a name of the catalogue and of `hf:` REFs, whose headers alone are read. */
  describe(ref: string, signal: AbortSignal): Promise<ModelProfile>;
  /** A model on the hub, by an `hf:` REF: what it is like, from its headers, and where its files are. */
  locate(ref: string, signal: AbortSignal): Promise<RemoteModel>;
  /** Like `resolve` but for names only, without looking at the disk. */
  known(ref: string): ModelFile | null;
  byContent(id: ContentId): ModelFile | null;
  /** Lists what other tools have put on this disk, which is read where it lies; gives how many models that added. */
  adopt(places: ForeignPlaces, signal: AbortSignal): Promise<number>;
  /** A further name for a model that is here, until the next start; nothing where it is not. */
  alsoCalled(contentId: ContentId, name: string): void;
  /** Fetches a model from a hub into this home, and lists it. Throws as {@link pullModel}. */
  pull(ref: string, options: CatalogPullOptions): Promise<PulledModel>;
  /** Deletes a model that was pulled into this home, and gives the bytes freed; throws `not_found` for any other. */
  remove(ref: string): Promise<{ readonly id: string; readonly contentId: ContentId; readonly bytes: number }>;
}

export interface CatalogPullOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PullProgress) => void;
}

export interface CatalogConfig {
  /** The daemon's home: `models/` in it is listed, `models.json` remembers other paths. */
  readonly home: string;
  readonly bundled: readonly BundledModel[];
  readonly signal: AbortSignal;
  /** Where `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` are looked up; absent: this process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** How a file is listed. */
interface Naming {
  readonly source: ModelSource;
  /** A further name. */
  readonly alias?: string;
  /** Its id where the file's name does not tell it. */
  readonly id?: string;
}

export async function openCatalog(config: CatalogConfig): Promise<Catalog> {
  const folder = join(config.home, "models");
  const memory = join(config.home, "models.json");
  const cacheDir = join(config.home, "cache", "profiles");
  const headers = join(config.home, "cache", "headers");
  const entries = new Map<ContentId, { file: ModelFile; aliases: string[]; source: ModelSource }>();
  const problems: { path: string; message: string }[] = [];
  let remembered = await readRemembered(memory);

  const env = config.env ?? process.env;

  async function add(path: string, { source, alias, id }: Naming, signal: AbortSignal): Promise<ModelFile> {
    const read = await readModelFile(path, { signal, cacheDir });
    const file = id === undefined ? read : { ...read, profile: { ...read.profile, id: asModelId(id) } };
    const known = entries.get(file.profile.contentId);
    // The same path with another content: the old entry is gone.
    for (const [id, entry] of entries) if (entry.file.path === file.path && id !== file.profile.contentId) entries.delete(id);
    const called = alias ?? id;
    if (known === undefined) entries.set(file.profile.contentId, { file, source, aliases: alias === undefined ? [] : [alias] });
    else if (called !== undefined && !known.aliases.includes(called) && !sameModel(asModelId(called), known.file.profile.id))
      known.aliases.push(called);
    return entries.get(file.profile.contentId)?.file ?? file;
  }
  async function tryAdd(path: string, naming: Naming): Promise<void> {
    try {
      await add(path, naming, config.signal);
    } catch (error) {
      config.signal.throwIfAborted();
      if (problems.length < PROBLEMS_MAX) problems.push({ path, message: asClusterdError(error).message });
    }
  }

  for (const { name, path } of config.bundled) await tryAdd(path, { source: "bundled", alias: name });
  const found = await readdir(folder).catch(() => []);
  for (const name of found.slice(0, FOLDER_ENTRIES_MAX)) {
    // Of a split model the first part stands for all.
    if (name.toLowerCase().endsWith(".gguf") && !isProjectorName(name) && (partName(name)?.number ?? 1) === 1)
      await tryAdd(join(folder, name), { source: "home" });
  }
  for (const { id, path } of await pulledModels(folder)) await tryAdd(path, { source: "pulled", id });
  for (const path of remembered) await tryAdd(path, { source: "path" });

  function known(ref: string): ModelFile | null {
    const names = ref.startsWith("hf:") ? hubNames(ref) : [ref];
    for (const name of names) {
      for (const { file, aliases } of entries.values()) {
        if (sameModel(file.profile.id, name) || aliases.some((alias) => sameModel(alias, name)) || file.path === name)
          return file;
      }
    }
    return null;
  }

  /** The ids that an `hf:` REF may mean here: without a quantisation, the usual one, or the only one there is. */
  function hubNames(ref: string): readonly string[] {
    const name = ref.slice("hf:".length).replace(/@[^@]*$/u, "");
    if (name.includes(":")) return [name];
    const here = [...entries.values()]
      .flatMap(({ file, aliases }) => [file.profile.id, ...aliases])
      .filter((id) => id.toLowerCase().startsWith(`${name.toLowerCase()}:`));
    const usual = `${name}:${DEFAULT_QUANTISATION}`;
    const [only] = here;
    return only !== undefined && new Set(here).size === 1 ? [usual, only] : [usual];
  }

  const catalog: Catalog = {
    list: () => [...entries.values()],
    problems: () => problems,
    known,
    byContent: (id) => entries.get(id)?.file ?? null,
    async resolve(ref, signal) {
      if (ref.length > REFERENCE_LENGTH_MAX) throw new ClusterdError("usage", "The model's reference is too long.");
      const byName = known(ref);
      if (byName === null && ref.startsWith("hf:")) {
        throw new ClusterdError("not_found", `${ref} is not on this node.`, {
          next: `Fetch it: clusterd pull ${ref}. What it needs is told by: clusterd plan ${ref}`,
        });
      }
      // Read again, which an unchanged file costs nothing: one that was cut or replaced since must not pass.
      if (byName !== null) return add(byName.path, { source: "path", id: byName.profile.id }, signal);
      if (!looksLikePath(ref)) {
        throw nameless(
          ref,
          [...entries.values()].map(({ file }) => file.profile.id),
        );
      }
      const path = resolve(ref);
      const file = await add(path, { source: "path" }, signal).catch((error: unknown) => {
        const { code, message, next } = asClusterdError(error);
        if (code === "model_broken" && message.endsWith("there is no such file"))
          throw new ClusterdError("not_found", `There is no file ${path}.`, { next: "Check the path." });
        throw new ClusterdError(code, message, { cause: error, ...(next === undefined ? {} : { next }) });
      });
      if (!remembered.includes(file.path)) {
        remembered = [...remembered, file.path].slice(-KNOWN_PATHS_MAX);
        await mkdir(config.home, { recursive: true });
        await writeFile(`${memory}.tmp`, `${JSON.stringify(remembered, null, 2)}\n`, { mode: 0o600 });
        await rename(`${memory}.tmp`, memory);
      }
      return file;
    },
    locate: (ref, signal) => readRemoteModel(ref, { cacheDir: headers, env, signal }),
    async describe(ref, signal) {
      if (ref.startsWith("hf:") && known(ref) === null) return (await catalog.locate(ref, signal)).profile;
      const catalogued = known(ref) === null && !looksLikePath(ref) ? knownProfileOf(ref) : null;
      return catalogued ?? (await catalog.resolve(ref, signal)).profile;
    },
    alsoCalled(contentId, name) {
      const entry = entries.get(contentId);
      if (entry !== undefined && known(name) === null) entry.aliases.push(name);
    },
    async adopt(places, signal) {
      const before = entries.size;
      for (const { path, id, source } of await findForeign(places)) {
        signal.throwIfAborted();
        await tryAdd(path, { source, id });
      }
      return entries.size - before;
    },
    async pull(ref, { signal, onProgress }) {
      const pulled = await pullModel(ref, { modelsDir: folder, cacheDir: headers, env, signal, onProgress });
      await add(pulled.path, { source: "pulled", id: pulled.id }, signal);
      return pulled;
    },
    async remove(ref) {
      const file = known(ref);
      const here = await pulledModels(folder);
      const names = ref.startsWith("hf:") ? hubNames(ref) : [ref];
      const pulled =
        here.find(({ id }) => names.some((name) => sameModel(asModelId(id), name))) ??
        here.find(({ path }) => path === file?.path);
      const [, repo, quantisation] = /^(.+):([^:]+)$/u.exec(pulled?.id ?? "") ?? [];
      if (file === null || pulled === undefined || repo === undefined || quantisation === undefined) {
        throw new ClusterdError("not_found", `${ref} was not pulled into this home.`, {
          next: file === null ? "See what there is: clusterd models" : `${file.path} is a file of your own: delete it yourself.`,
        });
      }
      const bytes = await removePulled(folder, repo, quantisation);
      const { contentId } = file.profile;
      const entry = entries.get(contentId);
      // The same model may also lie elsewhere: it then stays, under its other names.
      if (file.path === pulled.path) entries.delete(contentId);
      else if (entry !== undefined) entry.aliases = entry.aliases.filter((alias) => alias !== pulled.id);
      return { id: pulled.id, contentId, bytes };
    },
  };
  return catalog;
}

/** Nobody's name: or one that only the catalogue of shapes knows, of which there is no file here. */
function nameless(ref: string, here: readonly string[]): ClusterdError {
  const shape = findKnown(ref);
  if (shape !== null)
    return new ClusterdError("not_found", `No node has ${ref}: the catalogue knows what it is like, not its weights.`, {
      next: `Fetch a GGUF of ${shape.model.source} in ${shape.quantisation} and give its path. To see where it would go: clusterd plan ${ref}`,
    });
  const near = namesNear(ref);
  return new ClusterdError("not_found", `No model is called ${JSON.stringify(ref)} here.`, {
    next:
      `Known models: ${here.length === 0 ? "none" : here.join(", ")}. Or give the path of a GGUF file.` +
      (near.length === 0 ? "" : ` To plan, the catalogue has ${near.join(", ")}.`),
  });
}

function looksLikePath(ref: string): boolean {
  return isAbsolute(ref) || /[/\\]/.test(ref) || ref.toLowerCase().endsWith(".gguf");
}

async function readRemembered(file: string): Promise<readonly string[]> {
  try {
    const list = JSON.parse(await readFile(file, "utf8")) as unknown;
    return Array.isArray(list) ? list.filter((path): path is string => typeof path === "string").slice(0, KNOWN_PATHS_MAX) : [];
  } catch {
    // No memory, or a damaged one: the models folder is still listed.
    return [];
  }
}
