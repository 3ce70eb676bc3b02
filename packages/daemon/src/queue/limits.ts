/** Limits of the queues at the heads, in one place. */

/** Requests that wait for a turn with one deployment. */
export const QUEUE_WAITING_MAX = 256;
/** Further parts of requests that have had a turn: beyond the bound above, and bounded themselves. */
export const QUEUE_MORE_MAX = 256;
/** The latest turns, by whose mean time it is told when to come back. */
export const TURNS_REMEMBERED = 32;
/** What is told where no turn has ended yet. */
export const RETRY_AFTER_SECONDS_UNKNOWN = 2;
export const RETRY_AFTER_SECONDS_MAX = 60;
/** Places in the queue are told at most this often. */
export const POSITIONS_MS = 250;
/** The figures of the queues are told to the cluster at most this often. */
export const FIGURES_MS = 1_000;
