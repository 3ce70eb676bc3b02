/** What room there is, and how much is asked for. Bytes. */
export interface RoomQuestion {
  readonly bytesNeeded: number;
  /** What of that which was granted before has not been written yet. */
  readonly bytesPromised: number;
  /** On the disk; null: the system does not tell. */
  readonly freeBytes: number | null;
  /** What stays free on the disk in any case. */
  readonly reserveBytes: number;
  /** What pulled models and parts of models take. */
  readonly usedBytes: number;
  /** What they may take together; null: no limit. */
  readonly capBytes: number | null;
}

/** What goes first: what nothing can use any more, layers of a deployed model that its placement does not need, then whole models. */
export const EVICTION_ORDER = ["useless", "unneeded-layers", "parts", "pulled"] as const;
export type EvictionKind = (typeof EVICTION_ORDER)[number];

/** Something that may be given back to the disk. */
export interface Evictable {
  readonly kind: EvictionKind;
  readonly bytes: number;
  /** Milliseconds since 1970; 0: not known. */
  readonly usedAt: number;
  /** Whether a deployment, a fetch or another node needs it now. */
  readonly inUse: boolean;
}

/** What is to go, in order; or what stands in the way. */
export type EvictionChoice<Kept extends Evictable> =
  | { readonly evict: readonly Kept[] }
  | {
      /** Bytes that all that may go is short by. */
      readonly shortBytes: number;
      /** Which of the two is too small. */
      readonly limit: "cap" | "disk";
      readonly inUse: readonly Kept[];
    };

/** By how much the disk or the cap is short; 0: all fits. */
export function shortage(question: RoomQuestion): { readonly bytes: number; readonly limit: "cap" | "disk" } {
  const { bytesNeeded, bytesPromised, freeBytes, reserveBytes, usedBytes, capBytes } = question;
  const wanted = bytesNeeded + bytesPromised;
  const disk = freeBytes === null ? 0 : Math.max(0, wanted + reserveBytes - freeBytes);
  const cap = capBytes === null ? 0 : Math.max(0, usedBytes + wanted - capBytes);
  return cap >= disk ? { bytes: cap, limit: "cap" } : { bytes: disk, limit: "disk" };
}

/**
 * What to give back so that the bytes asked for fit: nothing that is in use, by kind and of each kind the least recently used first, no
 * more than it takes. Where all of it would not be enough nothing goes.
 */
export function chooseEvictions<Kept extends Evictable>(question: RoomQuestion, kept: readonly Kept[]): EvictionChoice<Kept> {
  const { bytes: short, limit } = shortage(question);
  const order = kept
    .filter(({ inUse, bytes }) => !inUse && bytes > 0)
    .toSorted((a, b) => EVICTION_ORDER.indexOf(a.kind) - EVICTION_ORDER.indexOf(b.kind) || a.usedAt - b.usedAt);
  const evict: Kept[] = [];
  let freed = 0;
  for (const one of order) {
    if (freed >= short) break;
    evict.push(one);
    freed += one.bytes;
  }
  if (freed < short) return { shortBytes: short - freed, limit, inUse: kept.filter(({ inUse }) => inUse) };
  return { evict };
}
