import { count, list, nullable, record, text, type Check } from "./check.ts";

/** Where a model's files are on the configured hub, at a commit: they never change. */
export interface HubPlace {
  /** `OWNER/REPO:QUANT`: the model's id. */
  readonly id: string;
  /** `OWNER/REPO` */
  readonly repo: string;
  readonly commit: string;
  /** First part first. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  /** What lets the model see images, for the head; null or absent: nothing does. */
  readonly projector?: { readonly path: string; readonly bytes: number } | null;
}

const FILES_MAX = 1024;

export const hubPlace: Check<HubPlace> = record({
  id: text(256),
  repo: text(200),
  commit: text(64),
  files: list(record({ path: text(512), bytes: count() }), FILES_MAX),
  projector: nullable(record({ path: text(512), bytes: count() })),
});
