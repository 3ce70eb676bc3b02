/** A longer line of output is cut, with a word on how much is missing. Bytes. */
export const LINE_BYTES_MAX: number = 4 * 1024;
/** Lines kept of a process's output … */
export const TAIL_LINES_MAX = 400;
/** … and their length together, in characters. */
export const TAIL_CHARACTERS_MAX: number = 128 * 1024;
/** After SIGTERM: how long a process may take before SIGKILL. */
export const STOP_GRACE_MS = 3_000;
/** After a process ended: how long its pipes may stay open (a grandchild that left the group holds them) before they are closed here. */
export const DRAIN_MS_MAX = 500;
