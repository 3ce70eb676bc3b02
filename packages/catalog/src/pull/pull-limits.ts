/** Every limit of what is fetched. */

/** One ranged request: eight chunks at most. */
export const REQUEST_BYTES: number = 8 * 1024 * 1024;
/** What is written down as done: a file of 50 GB has 50,000 of them, and a record of 270 KB. */
export const CHUNK_BYTES: number = 1024 * 1024;
/** Requests for one file at a time. */
export const CONNECTIONS = 4;
/** What is kept free on the disk besides the file. */
export const DISK_MARGIN_BYTES: number = 64 * 1024 * 1024;
/** Between two records of what is on the disk: as much is fetched again after a power loss. Milliseconds. */
export const RECORD_MS = 1_000;
/** Tries of one request before the file is given up, with a pause that doubles from the first to the last. Milliseconds. */
export const CHUNK_TRIES_MAX = 6;
export const FIRST_PAUSE_MS = 500;
/** As much of a request, or its end, is progress: a connection that breaks before has only used up a try. */
export const PROGRESS_BYTES_MIN: number = 64 * 1024;
export const PAUSE_MS_MAX = 30_000;
/** A largest file. */
export const FILE_BYTES_MAX: number = 4 * 1024 ** 4;
/** The record of a file of that size: 33 bits for each chunk, as base64. */
export const LEDGER_BYTES_MAX: number = 32 * 1024 * 1024;
/** Times that a file, or what was damaged of it on the disk, is fetched. */
export const FETCHES_MAX = 2;
