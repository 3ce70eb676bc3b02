/** Limits of finding nodes on the network, in one place. */

/** Multiaddrs taken of one node. */
export const ADDRESSES_PER_NODE_MAX = 16;
/** The largest packet RFC 6762 allows. */
export const MDNS_PACKET_BYTES_MAX = 9_000;
/** How often nodes are asked for, after the first questions. */
export const MDNS_QUERY_MS = 10_000;
/** The first questions after the start: a packet may be lost, or come before the other listens. */
export const MDNS_FIRST_QUERIES_MS: readonly number[] = [0, 150, 500, 1_000];
export const MDNS_INTERFACES_MAX = 16;
/** Packets of our service looked at in a second; more are noise or a flood. */
export const MDNS_PACKETS_PER_SECOND_MAX = 200;
export const MDNS_ANSWERS_PER_SECOND_MAX = 5;
