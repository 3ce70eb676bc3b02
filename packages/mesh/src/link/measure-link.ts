import { once } from "node:events";
import type { Socket } from "node:net";
import { readExactly } from "../data-plane/read-exactly.ts";
import {
  BURST,
  BURST_ANSWER_BYTES,
  BURST_BYTES_MAX,
  BURST_BYTES_MIN,
  encodeFrame,
  encodeHeader,
  HEADER_BYTES,
  headerOf,
  laterQuartersOf,
  MEASUREMENT_MS_MAX,
  PING,
  PING_BYTES,
  type Arrival,
  type LaterQuarters,
} from "./link-frames.ts";

/** The first ones find cold code at both ends. */
const PINGS_WARM = 4;
const PINGS = 21;
/** Pings on a very long link: no more once they have taken this long. */
const PINGS_MS_MAX = 1_500;
const PINGS_MIN = 3;
/** The later half of the burst that counts takes at least so long, unless even the largest is through sooner. */
const LATER_MS_MIN = 60;
/** And its two quarters came equally fast, within this share: no longer out of a bucket, no longer while TCP begins slowly. */
const STEADY_SHARE = 0.2;
/** No further burst once they have taken this long. */
const BURSTS_MS_MAX = 2_000;
const PIECE_BYTES: number = 64 * 1024;
/** A receiver's word is believed as far as it is no faster than this multiple of what this side saw of the whole. */
const BELIEVED_MULTIPLE = 2;

/** What a link is towards the other end: round trips in milliseconds, bytes per second. */
export interface LinkMeasurement {
  readonly rttMs: number;
  readonly rttMsMin: number;
  readonly bytesPerSecond: number;
}

/**
 * Measures a link over a socket whose other end answers (answer-link.ts): round trips of small frames, then bursts, each twice the one
 * before, until the later half of one takes long enough to be timed, and comes steadily. Only that half counts, by the receiver's clock:
 * what a slow link's bucket and the buffers on the way swallow at once says nothing of its rate. Rejects where the other end does not keep to it.
 */
export async function measureLink(socket: Socket, outer: AbortSignal): Promise<LinkMeasurement> {
  const closed = new AbortController();
  socket.once("close", () => closed.abort(new Error("it closed the connection")));
  const signal = AbortSignal.any([outer, closed.signal, AbortSignal.timeout(MEASUREMENT_MS_MAX)]);
  signal.throwIfAborted();
  const trips = await roundTrips(socket, signal);
  const rttMsMin = trips[0] ?? 0;
  const startMs = performance.now();
  let bytesPerSecond = 0;
  for (let size = BURST_BYTES_MIN; ; size *= 2) {
    const { rate, settled } = await burst(socket, size, rttMsMin, signal);
    if (rate > 0) bytesPerSecond = rate;
    if (settled || size >= BURST_BYTES_MAX || performance.now() - startMs > BURSTS_MS_MAX) break;
  }
  if (bytesPerSecond === 0) throw new Error("the bursts could not be timed");
  return { rttMs: round(trips[Math.floor(trips.length / 2)] ?? 0), rttMsMin: round(rttMsMin), bytesPerSecond };
}

const round = (ms: number): number => Math.round(ms * 1000) / 1000;

/** Milliseconds of every round trip, in ascending order. */
async function roundTrips(socket: Socket, signal: AbortSignal): Promise<readonly number[]> {
  const ping = encodeFrame(PING, Buffer.alloc(PING_BYTES));
  const trips: number[] = [];
  const beganMs = performance.now();
  for (let count = 0; count < PINGS_WARM + PINGS; count++) {
    const sentMs = performance.now();
    socket.write(ping);
    await answer(socket, PING, PING_BYTES, signal);
    if (count >= PINGS_WARM) trips.push(performance.now() - sentMs);
    if (trips.length >= PINGS_MIN && performance.now() - beganMs > PINGS_MS_MAX) break;
  }
  return trips.toSorted((a, b) => a - b);
}

async function burst(
  socket: Socket,
  size: number,
  rttMsMin: number,
  signal: AbortSignal,
): Promise<{ readonly rate: number; readonly settled: boolean }> {
  const beganMs = performance.now();
  socket.write(encodeHeader({ kind: BURST, length: size }));
  const piece = Buffer.alloc(PIECE_BYTES);
  for (let sent = 0; sent < size; sent += piece.length) if (!socket.write(piece)) await once(socket, "drain", { signal });
  const quarters = laterQuartersOf(await answer(socket, BURST, BURST_ANSWER_BYTES, signal), size);
  if (quarters === null) throw new Error("it tells no plausible time");
  const seenMs = Math.max(0.001, performance.now() - beganMs - rttMsMin);
  const believed = (BELIEVED_MULTIPLE * size * 1000) / seenMs;
  const { rate, settled } = judge(quarters);
  return { rate: Math.round(Math.min(believed, rate)), settled };
}

/** Bytes per second of a burst's later half, or of its last quarter where the one before came at another rate. 0: not to be told. */
function judge([third, last]: LaterQuarters): { readonly rate: number; readonly settled: boolean } {
  const rateOf = ({ bytes, ms }: Arrival): number => (ms > 0 ? (bytes * 1000) / ms : 0);
  const both = { bytes: third.bytes + last.bytes, ms: third.ms + last.ms };
  const steady = Math.abs(rateOf(third) - rateOf(last)) <= STEADY_SHARE * rateOf(both);
  return { rate: rateOf(steady ? both : last), settled: steady && both.ms >= LATER_MS_MIN };
}

async function answer(socket: Socket, kind: number, length: number, signal: AbortSignal): Promise<Buffer> {
  const header = headerOf(await readExactly(socket, HEADER_BYTES, signal));
  if (header.kind !== kind || header.length !== length) throw new Error("it does not answer as a measurement does");
  return readExactly(socket, length, signal);
}
