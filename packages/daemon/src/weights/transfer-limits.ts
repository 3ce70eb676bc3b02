import type { Store } from "../state/store.ts";
import { createRateLimit, type RateLimit } from "./rate-limit.ts";

/** How fast this node fetches and serves models, over all that it fetches and serves at the same time. */
export interface TransferLimits {
  readonly fetch: RateLimit;
  /** Null: without one. */
  readonly serve: RateLimit | null;
}

/** Both limits, which the state then tells of. */
export function createTransferLimits(
  store: Store,
  said: { readonly fetchBytesPerSecond?: number | undefined; readonly serveBytesPerSecond?: number | undefined },
): TransferLimits {
  const { fetchBytesPerSecond = null, serveBytesPerSecond = null } = said;
  if (fetchBytesPerSecond !== null || serveBytesPerSecond !== null)
    store.dispatch({ type: "own", facts: { transferLimits: { fetchBytesPerSecond, serveBytesPerSecond } } });
  return {
    fetch: createRateLimit(fetchBytesPerSecond),
    serve: serveBytesPerSecond === null ? null : createRateLimit(serveBytesPerSecond),
  };
}
