import type { HubPlace } from "@clusterd/wire";
import type { PullProgress } from "./pull-model.ts";

/** A model's own files as a hub lists them, for whoever may have them from elsewhere. */
export interface GatherWish {
  readonly place: HubPlace;
  /** Of each file, hex; null where the hub does not tell. */
  readonly sha256: readonly (string | null)[];
  /** Where each file is to lie. Nothing may bear these names before its digest was looked at. */
  readonly targets: readonly string[];
  /** Writes down the files' digests, once all have been verified and before they get their names. */
  record(sha256: readonly string[]): Promise<void>;
  readonly signal: AbortSignal;
  /** Bytes of these files together. */
  readonly onProgress: (progress: PullProgress) => void;
}

/** Brings a model's files, and gives their digests; null: they are to be fetched from the hub. */
export type Gather = (wish: GatherWish) => Promise<readonly string[] | null>;

/** A file of the model itself, and where it is to lie. */
export interface GatheredFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string | null;
  readonly target: string;
}

/** Has a model's files brought from elsewhere; gives their digests by their paths, none where they are to be fetched. */
export async function gatherFiles(
  gather: Gather,
  files: readonly GatheredFile[],
  wish: Pick<GatherWish, "signal" | "onProgress"> & {
    readonly place: Omit<HubPlace, "files">;
    record(file: GatheredFile, sha256: string): Promise<void>;
  },
): Promise<ReadonlyMap<string, string>> {
  const { signal, onProgress } = wish;
  const digests = await gather({
    place: { ...wish.place, files: files.map(({ path, bytes }) => ({ path, bytes })) },
    sha256: files.map(({ sha256 }) => sha256),
    targets: files.map(({ target }) => target),
    async record(all) {
      for (const [part, file] of files.entries()) await wish.record(file, all[part] ?? "");
    },
    signal,
    onProgress,
  });
  return new Map(digests === null ? [] : files.map(({ path }, part) => [path, digests[part] ?? ""]));
}
