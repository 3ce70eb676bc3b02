/** Every limit of what is read from a hub. */

/** The listing of one repository, as JSON. */
export const LISTING_BYTES_MAX: number = 8 * 1024 * 1024;
/** Files of one repository. */
export const LISTED_FILES_MAX = 20_000;
/** Pages of a repository's tree. */
export const TREE_PAGES_MAX = 32;
/** One file's path in it. */
export const FILE_PATH_LENGTH_MAX = 512;
/** Hops from the hub to where it keeps its files. */
export const REDIRECTS_MAX = 5;
/** Without a byte for so long, an exchange is over. */
export const SILENCE_MS_MAX = 20_000;
/** The first range that is read of a file; each further one is twice as long, up to the largest. */
export const FIRST_RANGE_BYTES: number = 512 * 1024;
export const RANGE_BYTES_MAX: number = 8 * 1024 * 1024;
/** Repositories whose headers are kept. */
export const KEPT_REPOSITORIES_MAX = 64;
/** Quantisations named in a message. */
export const SHOWN_QUANTISATIONS_MAX = 30;
/** One answer that is held in memory, from the question to its last byte. Milliseconds. */
export const EXCHANGE_MS_MAX = 120_000;
/** Asking a hub that fails for now: tries, and the pause before the second; it doubles. Milliseconds. */
export const GET_TRIES_MAX = 3;
export const GET_PAUSE_MS = 500;
/** As long as a server may ask one to wait: the hub counts in windows of five minutes. Milliseconds. */
export const RETRY_AFTER_MS_MAX = 330_000;
/** Ways to connect that are kept: directly, and through each proxy. */
export const AGENTS_MAX = 16;
/** Until a connection is there. Milliseconds. */
export const CONNECT_MS_MAX = 15_000;
/** A token in a file. */
export const TOKEN_FILE_BYTES_MAX = 4096;
