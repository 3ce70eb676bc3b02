/** Every limit of what is fetched. */

/** One ranged request. A file of 400 GB has 50,000 of them. */
export const CHUNK_BYTES: number = 8 * 1024 * 1024;
/** Requests for one file at a time. */
export const CONNECTIONS = 4;
/** What is kept free on the disk besides the file. */
export const DISK_MARGIN_BYTES: number = 64 * 1024 * 1024;
/** Between two records of what is on the disk: as much is fetched again after a power loss. Milliseconds. */
export const RECORD_MS = 1_000;
/** Tries of one chunk before the file is given up, with a pause that doubles from the first to the last. Milliseconds. */
export const CHUNK_TRIES_MAX = 6;
export const FIRST_PAUSE_MS = 500;
export const PAUSE_MS_MAX = 30_000;
/** A largest file. */
export const FILE_BYTES_MAX: number = 4 * 1024 ** 4;
