/** Every limit of what is read from a hub. */

/** The listing of one repository, as JSON. */
export const LISTING_BYTES_MAX: number = 8 * 1024 * 1024;
/** Files of one repository. */
export const LISTED_FILES_MAX = 20_000;
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
