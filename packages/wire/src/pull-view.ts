import type { ErrorCode } from "./errors.ts";

/** A model that a node is fetching. Bytes of all its files, those there before included. */
export interface PullView {
  readonly ref: string;
  readonly step: "listing" | "fetching" | "verifying";
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Of the last seconds. */
  readonly bytesPerSecond: number;
  /** Until all bytes are here at that rate; null where that cannot be told. */
  readonly secondsLeft: number | null;
}

/** What is told of a model that is being fetched; the last event is its end. */
export type PullEvent =
  | {
      readonly event: "progress";
      readonly step: PullView["step"];
      readonly bytes: number;
      readonly totalBytes: number;
      readonly bytesPerSecond: number;
      readonly secondsLeft: number | null;
    }
  | {
      readonly event: "done";
      readonly model: string;
      readonly path: string;
      readonly bytes: number;
      readonly sha256: string;
    }
  | {
      readonly event: "failed";
      readonly error: { readonly code: ErrorCode; readonly message: string; readonly next: string | null };
    };
