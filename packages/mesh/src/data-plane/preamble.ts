import { randomBytes, timingSafeEqual } from "node:crypto";

/** What a tunnel begins with: who we are and the ticket, answered by one byte. */
const MAGIC: Buffer = Buffer.from("clusterd tunnel 2\n");
export const TICKET_BYTES = 32;
export const PREAMBLE_BYTES: number = MAGIC.length + TICKET_BYTES;
export const ACCEPTED = 0x01;
export const REFUSED = 0x00;
/** The ticket is good, but nothing listens where it leads. */
export const TARGET_DOWN = 0x02;

export function makeTicket(): Uint8Array {
  return randomBytes(TICKET_BYTES);
}

export function encodePreamble(ticket: Uint8Array): Buffer {
  return Buffer.concat([MAGIC, ticket]);
}

/** The ticket of a preamble, or null where it is none of ours. */
export function ticketOf(preamble: Buffer): Buffer | null {
  return preamble.length === PREAMBLE_BYTES && preamble.subarray(0, MAGIC.length).equals(MAGIC)
    ? preamble.subarray(MAGIC.length)
    : null;
}

export function sameTicket(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
