import { join } from "node:path";
import { asClusterdError, ClusterdError, modelsNamed, type ContentId, type ModelProfile } from "@clusterd/wire";
import { findForeign } from "./adopt/find-foreign.ts";
import type { ForeignPlaces, ForeignSource } from "./adopt/foreign-model.ts";
import { createDiskWatch, type DiskWatch } from "./disk-watch.ts";
import { homeModels, type FoundModel } from "./home-models.ts";
import { knownProfileOf } from "./known-models/find-known.ts";
import { PROBLEMS_MAX, REFERENCE_LENGTH_MAX } from "./limits.ts";
import { createModelBook } from "./model-book.ts";
import { ambiguousName, nameless, notPulled } from "./no-such-model.ts";
import type { MakeRoom } from "./pull/disk-room.ts";
import type { Gather } from "./pull/gather.ts";
import type { Throttle } from "./pull/throttled-source.ts";
import { pullModel, type PullProgress, type PulledModel } from "./pull/pull-model.ts";
import { pulledModels, removePulled } from "./pull/pulled-models.ts";
import { readModelFile, type ModelFile } from "./read-model.ts";
import { isPath, mustBeWhole, pathOf } from "./ref-path.ts";
import { openKnownPaths } from "./known-paths.ts";
import { stampOf } from "./shards/file-stamp.ts";
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
  /** What all its bytes must be, where whoever brought the file has told; of several parts one after the other. */
  readonly sha256: string | null;
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
  /** Like `resolve` but without looking at the disk; null also where several models are meant. */
  known(ref: string): ModelFile | null;
  byContent(id: ContentId): ModelFile | null;
  /** Lists what other tools have put on this disk, from now on, which is read where it lies; gives how many models that added. */
  adopt(places: ForeignPlaces, signal: AbortSignal): Promise<number>;
  /**
   * Lists anew what is on the disk, where that has changed since; gives whether the list did. What is gone is listed no more, what another
   * tool has fetched is.
   */
  refresh(signal: AbortSignal): Promise<boolean>;
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
  /** Asked first for the model's own files: members may have them. */
  readonly gather?: Gather;
  /** For what comes from the hub. */
  readonly throttle?: Throttle;
  /** False: what lets it see images stays on the hub. */
  readonly projector?: boolean;
  readonly makeRoom?: MakeRoom;
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
type Naming = Omit<FoundModel, "path">;

const BY_PATH: Naming = { source: "path", id: null, aliases: [], sha256: null };

export async function openCatalog(config: CatalogConfig): Promise<Catalog> {
  const folder = join(config.home, "models");
  const cacheDir = join(config.home, "cache", "profiles");
  const headers = join(config.home, "cache", "headers");
  const env = config.env ?? process.env;
  const paths = await openKnownPaths(config.home);
  const book = createModelBook();
  let problems = new Map<string, string>();
  let foreign: ForeignPlaces | null = null;
  let watch: DiskWatch = createDiskWatch();
  /** One listing at a time. */
  let listing: Promise<unknown> = Promise.resolve();

  /** Reads a model and lists it; of one that is listed its own name stays. An unchanged file costs next to nothing. */
  async function add(path: string, naming: Naming, signal: AbortSignal): Promise<ModelFile> {
    const { projectorPath } = naming;
    const file = await readModelFile(path, { signal, cacheDir, ...(projectorPath === undefined ? {} : { projectorPath }) });
    return book.put({ ...naming, file });
  }
  async function tryAdd({ path, ...naming }: FoundModel, signal: AbortSignal, into: Map<string, string>): Promise<void> {
    try {
      await add(path, naming, signal);
    } catch (error) {
      signal.throwIfAborted();
      book.drop(path);
      if (into.size < PROBLEMS_MAX) into.set(path, asClusterdError(error).message);
    }
  }

  /** All that is on the disk now, by what the folders say. */
  async function listAll(signal: AbortSignal): Promise<void> {
    const next = createDiskWatch();
    const found: FoundModel[] = [
      ...config.bundled.map(({ name, path }) => ({ ...BY_PATH, path, source: "bundled" as const, aliases: [name] })),
      ...(await homeModels(folder, next.note)),
      ...paths.list().map((path) => ({ ...BY_PATH, path })),
      ...(foreign === null ? [] : await findForeign({ ...foreign, onLooked: next.note })).map((model) => ({
        ...{ path: model.path, source: model.source, id: model.id, aliases: model.aliases ?? [], sha256: model.sha256 ?? null },
        ...(model.projectorPath === undefined ? {} : { projectorPath: model.projectorPath }),
      })),
    ];
    const told = new Map<string, string>();
    // What is not found any more goes first: it must not stand in the way of what is.
    const there = new Set(found.map(({ path }) => path));
    for (const { file } of book.places()) if (!there.has(file.path)) book.drop(file.path);
    for (const { path } of found) next.note(path);
    const seen = new Set<string>();
    for (const model of found) {
      // A file of the home may also be known by its path: as what it is listed there.
      if (seen.has(model.path)) continue;
      seen.add(model.path);
      await tryAdd(model, signal, told);
      for (const part of book.at(model.path)?.file.parts ?? []) next.note(part);
    }
    problems = told;
    watch = next;
  }
  const fingerprint = (): string =>
    book
      .entries()
      .map(({ file, aliases, source }) => [file.path, file.profile.contentId, file.profile.id, source, ...aliases].join(" "))
      .join("\n");
  function listAnew(): Promise<boolean> {
    const now = listing.then(async () => {
      const before = fingerprint();
      await listAll(config.signal);
      return fingerprint() !== before;
    });
    listing = now.catch(() => undefined);
    return now;
  }
  await listAll(config.signal);

  /** For a REF that nobody knows, as it may have come since. */
  async function knownNow(ref: string, signal: AbortSignal): Promise<ModelFile | null> {
    const known = book.known(ref);
    if (known !== null) return known;
    if (book.candidates(ref).length === 0 && (await catalog.refresh(signal))) return knownNow(ref, signal);
    const candidates = book.candidates(ref);
    if (candidates.length > 0) throw ambiguousName(ref, candidates);
    return null;
  }

  const catalog: Catalog = {
    list: () => book.entries(),
    problems: () => [...problems].map(([path, message]) => ({ path, message })),
    known: (ref) => book.known(pathOf(ref) ?? ref),
    byContent: (id) => book.byContent(id),
    async resolve(ref, signal) {
      if (ref.length > REFERENCE_LENGTH_MAX) throw new ClusterdError("usage", "The model's reference is too long.");
      mustBeWhole(ref);
      const path = pathOf(ref);
      // Read again, which an unchanged file costs nothing: one that was cut or replaced since must not pass.
      const listed = path === null ? null : book.places().find(({ file }) => file.path === path || file.parts.includes(path));
      const byName = path === null ? await knownNow(ref, signal) : (listed?.file ?? null);
      if (byName !== null) {
        const { file: _, ...naming } = book.at(byName.path) ?? { ...BY_PATH, file: byName };
        try {
          return await add(byName.path, naming, signal);
        } catch (error) {
          signal.throwIfAborted();
          if (path !== null || (await stampOf([byName.path])) !== null) throw error;
          // It is gone. Another place may have it.
          book.drop(byName.path);
          return catalog.resolve(ref, signal);
        }
      }
      if (path === null) throw nameless(ref, book.entries());
      const file = await add(path, BY_PATH, signal).catch((error: unknown) => {
        const { code, message, next } = asClusterdError(error);
        if (code === "model_broken" && message.endsWith("there is no such file"))
          throw new ClusterdError("not_found", `There is no file ${path}.`, { next: "Check the path." });
        throw new ClusterdError(code, message, { cause: error, ...(next === undefined ? {} : { next }) });
      });
      for (const part of file.parts) watch.note(part);
      await paths.remember(file.path);
      return file;
    },
    async locate(ref, signal) {
      const found = await readRemoteModel(ref, { cacheDir: headers, env, signal });
      const here = book.sha256Of(found.profile.contentId);
      if (here !== null && found.sha256 !== null && here !== found.sha256) {
        const other = book.byContent(found.profile.contentId)?.profile.id ?? "another model";
        throw new ClusterdError(
          "invalid_request",
          `${found.profile.id} has the very header of ${other}, which is here, but other weights.`,
          {
            next: `One would answer for the other. If ${other} was pulled: clusterd rm ${other}`,
          },
        );
      }
      return found;
    },
    async describe(ref, signal) {
      const known = isPath(ref) ? null : await knownNow(ref, signal);
      if (known !== null) return (await catalog.resolve(ref, signal)).profile;
      if (ref.startsWith("hf:")) return (await readRemoteModel(ref, { cacheDir: headers, env, signal })).profile;
      const catalogued = isPath(ref) ? null : knownProfileOf(ref);
      return catalogued ?? (await catalog.resolve(ref, signal)).profile;
    },
    alsoCalled: book.alsoCalled,
    async adopt(places, signal) {
      foreign = places;
      const before = book.entries().length;
      await listAnew();
      signal.throwIfAborted();
      return book.entries().length - before;
    },
    async refresh(signal) {
      await listing;
      const changed = await watch.changed();
      signal.throwIfAborted();
      return changed && listAnew();
    },
    async pull(ref, options) {
      const { signal } = options;
      const pulled = await pullModel(ref, { projector: true, ...options, modelsDir: folder, cacheDir: headers, env });
      // Names of other revisions may have moved with it.
      const files = await pulledModels(folder);
      for (const { path, id, aliases, sha256, projectorPath } of files) {
        const further = projectorPath === null ? {} : { projectorPath };
        const listing = add(path, { source: "pulled", id, aliases, sha256, ...further }, signal);
        if (path === pulled.path) await listing;
        else await listing.catch(() => undefined);
      }
      return pulled;
    },
    async remove(ref) {
      const here = await pulledModels(folder);
      const path = pathOf(ref);
      const candidates = path === null ? modelsNamed(ref, here) : [];
      if (new Set(candidates.map(({ id }) => id)).size > 1)
        throw ambiguousName(
          ref,
          candidates.map(({ id }) => id),
        );
      const file = book.known(path ?? ref);
      const pulled = candidates[0] ?? here.find((each) => each.path === (book.at(path ?? "")?.file.path ?? file?.path));
      const listed = pulled === undefined ? null : book.at(pulled.path);
      // Another model of that name may lie elsewhere, as the one that is meant.
      const isMeant = listed !== null && (file === null || listed.file.profile.contentId === file.profile.contentId);
      if (pulled === undefined || !isMeant) throw notPulled(ref, file);
      const bytes = await removePulled(folder, pulled);
      // The same model may also lie elsewhere: it then stays, under its other names.
      book.drop(pulled.path);
      return { id: pulled.id, contentId: listed.file.profile.contentId, bytes };
    },
  };
  return catalog;
}
