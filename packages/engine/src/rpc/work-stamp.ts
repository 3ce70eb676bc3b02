import { BadFrame, RESPONSE_PREFIX_BYTES } from "./protocol.ts";

/** An answer's size has room for this many bits; above them is how long the engine worked for it. */
const SIZE_BITS = 40n;
const SIZE_MASK: bigint = (1n << SIZE_BITS) - 1n;
const UNIT_MS = 0.01;
const UNITS_MAX = 0xff_ffff;

/** Puts the engine's time into an answer's size, between our relays: in units of 10 µs, up to 168 s. */
export function stampWork(prefix: Buffer, workMs: number): void {
  const units = Math.min(UNITS_MAX, Math.max(0, Math.round(workMs / UNIT_MS)));
  const size = prefix.readBigUInt64LE(0);
  if (size > SIZE_MASK) throw new BadFrame(`an answer of ${size} bytes`);
  prefix.writeBigUInt64LE(size | (BigInt(units) << SIZE_BITS), 0);
}

/** Takes the time out of an answer's size again; ms. */
export function unstampWork(prefix: Buffer): number {
  const both = prefix.readBigUInt64LE(0);
  prefix.writeBigUInt64LE(both & SIZE_MASK, 0);
  return Number(both >> SIZE_BITS) * UNIT_MS;
}

export const noteBytes = (note: bigint): Buffer => {
  const bytes = Buffer.allocUnsafe(RESPONSE_PREFIX_BYTES);
  bytes.writeBigUInt64LE(note);
  return bytes;
};
