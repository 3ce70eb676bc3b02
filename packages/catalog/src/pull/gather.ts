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
