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

/** One line of what is said at the gate before the engine's own bytes. */
export const GATE_LINE_BYTES_MAX = 2_048;
/** A member that has opened a way to the gate says what for within this. */
export const GATE_ASK_MS_MAX = 10_000;
/** Ways to one gate that a member may have open: what waits, and what has a turn. */
export const GATE_CONNECTIONS_MAX = 640;
/** Ways to one head that are being opened at once: whoever proves nothing yet is one of few there. */
export const GATE_OPENING_MAX = 8;
/** A caller's name as the gate takes it. */
export const CALLER_LENGTH_MAX = 256;
