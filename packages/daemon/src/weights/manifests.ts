import { setTimeout as pause } from "node:timers/promises";
import {
  digestFiles,
  hubDigestsOf,
  manifestText,
  parseManifest,
  withDigests,
  type ManifestStore,
  type ModelFile,
  type ModelManifest,
} from "@clusterd/catalog";
import { asClusterdError, type ContentId } from "@clusterd/wire";
import { createManifestWords, NO_WORDS, type ManifestWords, type ToldManifest } from "./manifest-words.ts";

/** Members that are asked for a model's manifest. */
const TELLERS_MAX = 8;
const ASK_MS_MAX = 5_000;
/** Of one core's time while pulled files are read through: whatever else the node has to do goes first. */
const READ_SHARE = 0.25;
const CALM_MS = 3_000;

export interface ManifestsConfig {
  readonly store: ManifestStore;
  /** Of a model that is here, whole or in parts. */
  fileOf(contentId: ContentId): ModelFile | null;
  /** Models that were pulled from a hub into this home. */
  pulled(): readonly ModelFile[];
  /** The folder they are in. */
  readonly modelsDir: string;
  /** How long nothing is read after a start or a pull, which have better things to do; milliseconds. */
  readonly calmMs?: number;
  log(message: string): void;
  readonly signal: AbortSignal;
}

/** A member that may have a model's manifest. */
export interface Teller {
  readonly name: string;
  /** As text; null where it has none. */
  manifest(signal: AbortSignal): Promise<string | null>;
}

/** What this node knows of the bytes of its models, tells others of them, and is told. */
export interface Manifests extends AsyncDisposable {
  /** Null where the model is not here. */
  of(contentId: ContentId, signal: AbortSignal): Promise<ModelManifest | null>;
  /** For a member that asks; null where nothing of it goes back to a hub. */
  textOf(contentId: ContentId): Promise<string | null>;
  /**
   * What these members say of a model that is being fetched, and this node knows itself. Nobody's silence is an error. `ready` settles when
   * the model's header can be read here, which is waited for where there is anything to hold against it.
   */
  ask(contentId: ContentId, tellers: readonly Teller[], signal: AbortSignal, ready?: () => Promise<void>): Promise<ManifestWords>;
  /** Keeps what has stood, for later fetches and for those who ask here. */
  keep(contentId: ContentId, words: ManifestWords, signal: AbortSignal): Promise<void>;
  /** Reads pulled files of which it is not known yet what is in them, one after the other, with time for everything else. Settles then. */
  readPulled(): Promise<void>;
}

export function createManifests(config: ManifestsConfig): Manifests {
  const { store, fileOf, log } = config;
  const end = new AbortController();
  const signal = AbortSignal.any([config.signal, end.signal]);
  let reading: Promise<void> | null = null;
  let isMore = false;
  /** Read, and found to be something else: not again before the next start. */
  const broken = new Set<string>();

  async function readThrough(): Promise<void> {
    do {
      isMore = false;
      await pause(config.calmMs ?? CALM_MS, undefined, { signal, ref: false });
      for (const file of config.pulled()) await readOne(file);
    } while (isMore);
  }

  async function readOne(file: ModelFile): Promise<void> {
    const { contentId, id } = file.profile;
    const key = `${contentId} ${file.path}`;
    if (broken.has(key)) return;
    try {
      const { manifest, layout } = await store.of(file, signal);
      const expected = await hubDigestsOf(file, config.modelsDir);
      const isKnown = (part: number): boolean => manifest.source === "hub" && manifest.parts[part]?.sha256 != null;
      if (expected === null || file.parts.every((_, part) => isKnown(part))) return;
      // Kept part by part: hundreds of gigabytes take hours, and more than one start.
      for (const part of file.parts.keys()) {
        if (isKnown(part)) continue;
        const known = await digestFiles(manifest, { paths: file.parts, part, layout, expected, share: READ_SHARE, signal });
        await store.add(file, (before) => withDigests(before, known), signal);
      }
      log(`${id} is what the hub says, byte for byte: members that fetch from here are told what each piece must be`);
    } catch (error) {
      if (signal.aborted) return;
      broken.add(key);
      log(`${id} has no manifest: ${asClusterdError(error).message}`);
    }
  }

  interface Told {
    readonly by: string;
    readonly text: string;
  }
  async function textFrom(teller: Teller, within: AbortSignal): Promise<Told | null> {
    const limit = AbortSignal.any([within, AbortSignal.timeout(ASK_MS_MAX)]);
    const text = await teller.manifest(limit).catch(() => null);
    return text === null ? null : { by: teller.name, text };
  }
  function parsed({ by, text }: Told, bare: ModelManifest): ToldManifest | null {
    const manifest = parseManifest(text, bare);
    return manifest === null || manifest.source === "file" ? null : { by, manifest: { ...manifest, source: "member" } };
  }

  const bareOf = (manifest: ModelManifest): ModelManifest => ({
    ...manifest,
    source: "file",
    parts: manifest.parts.map((part) => ({ ...part, sha256: null })),
    tensors: manifest.tensors.map((tensor) => ({ ...tensor, sha256: null, fnv1a: null })),
    blocks: manifest.blocks.map(() => null),
  });

  return {
    async of(contentId, within) {
      const file = fileOf(contentId);
      return file === null ? null : (await store.of(file, within)).manifest;
    },
    async textOf(contentId) {
      const file = fileOf(contentId);
      if (file === null) return null;
      const { manifest } = await store.of(file, signal);
      return manifest.source === "file" ? null : manifestText(manifest);
    },
    async ask(contentId, tellers, within, ready) {
      try {
        const all = await Promise.all(tellers.slice(0, TELLERS_MAX).map((teller) => textFrom(teller, within)));
        const texts = all.filter((one) => one !== null);
        if (texts.length === 0 && !(await store.has(contentId))) return NO_WORDS;
        await ready?.();
        const file = fileOf(contentId);
        if (file === null) return NO_WORDS;
        const { manifest } = await store.of(file, within);
        // What was found out here needs nobody's word.
        if (manifest.source === "hub") return createManifestWords(manifest, []);
        const bare = bareOf(manifest);
        const told = texts.map((one) => parsed(one, bare));
        const before = manifest.source === "member" ? [{ by: "an earlier fetch", manifest }] : [];
        return createManifestWords(manifest, [...told.filter((one) => one !== null), ...before]);
      } catch (error) {
        within.throwIfAborted();
        log(`no manifest of what is fetched: ${asClusterdError(error).message}`);
        return NO_WORDS;
      }
    },
    async keep(contentId, words, within) {
      const file = fileOf(contentId);
      const { kept } = words;
      if (file !== null && kept !== null) await store.add(file, () => kept, within).catch(() => undefined);
    },
    readPulled() {
      isMore = true;
      reading ??= readThrough()
        .catch(() => undefined)
        .finally(() => (reading = null));
      return reading;
    },
    async [Symbol.asyncDispose]() {
      end.abort();
      await reading;
    },
  };
}
