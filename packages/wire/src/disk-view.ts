import { amount, nullable, record, type Check } from "./check.ts";

/** The disk on which a node keeps its models. Bytes. */
export interface DiskView {
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** What pulled models and parts of models take: all that is counted against the cap, and may be given back. */
  readonly usedBytes: number;
  /** What they may take together; null: no limit but the disk. */
  readonly capBytes: number | null;
}

/** As it comes in an advert. */
export const diskView: Check<DiskView> = record({
  totalBytes: amount,
  freeBytes: amount,
  usedBytes: amount,
  capBytes: nullable(amount),
});
