/**
 * How a link is measured, over a tunnel's own kind of socket. Frames both ways: kind u8, length u32le, so many bytes.
 *
 *     ping    from the asker; the same length comes back: one round trip
 *     burst   from the asker; answered by how its third and its last quarter came, told by the receiver's clock: twice bytes f64le,
 *             milliseconds f64le
 *
 * Only the asker sends in bulk: a peer cannot make this node send. Each node measures its own direction.
 */
export const PING = 0x01;
export const BURST = 0x02;
export const HEADER_BYTES = 5;
export const BURST_ANSWER_BYTES = 32;

/** A round trip carries about as much as the rest of a decode step besides the hidden state, whose transfer is the rate's part. */
export const PING_BYTES = 256;
export const PING_BYTES_MAX: number = 16 * 1024;
export const PINGS_MAX = 64;
export const BURST_BYTES_MIN: number = 64 * 1024;
export const BURST_BYTES_MAX: number = 16 * 1024 * 1024;
/** All bursts of one measurement, doubled from the least to the largest. */
export const MEASUREMENT_BYTES_MAX: number = 2 * BURST_BYTES_MAX + PINGS_MAX * PING_BYTES_MAX;
/** The whole of it, on the slowest link that is measured. */
export const MEASUREMENT_MS_MAX = 15_000;

export interface FrameHeader {
  readonly kind: number;
  readonly length: number;
}

export function encodeFrame(kind: number, payload: Buffer): Buffer {
  return Buffer.concat([encodeHeader({ kind, length: payload.length }), payload]);
}

export function encodeHeader({ kind, length }: FrameHeader): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(kind, 0);
  header.writeUInt32LE(length, 1);
  return header;
}

export function headerOf(bytes: Buffer): FrameHeader {
  return { kind: bytes.readUInt8(0), length: bytes.readUInt32LE(1) };
}

/** A part of a burst as it came in. */
export interface Arrival {
  readonly bytes: number;
  readonly ms: number;
}

/** The third and the last quarter of a burst. */
export type LaterQuarters = readonly [third: Arrival, last: Arrival];

export function encodeLaterQuarters(quarters: LaterQuarters): Buffer {
  const payload = Buffer.alloc(BURST_ANSWER_BYTES);
  quarters.flatMap(({ bytes, ms }) => [bytes, ms]).forEach((figure, index) => payload.writeDoubleLE(figure, index * 8));
  return encodeFrame(BURST, payload);
}

/** Null where these are no figures of a burst of that length. */
export function laterQuartersOf(payload: Buffer, burstBytes: number): LaterQuarters | null {
  const arrival = (at: number): Arrival => ({ bytes: payload.readDoubleLE(at), ms: payload.readDoubleLE(at + 8) });
  const [third, last] = [arrival(0), arrival(16)];
  const plausible = [third, last].every(({ bytes, ms }) => bytes >= 0 && ms >= 0 && ms <= MEASUREMENT_MS_MAX);
  return plausible && third.bytes + last.bytes <= burstBytes ? [third, last] : null;
}
