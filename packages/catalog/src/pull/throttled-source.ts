import type { RangeSource } from "./hub-source.ts";

/** Settles when so many bytes may be taken; throws where the signal fires before. */
export type Throttle = (bytes: number, signal: AbortSignal) => Promise<void>;

/** A source whose bytes come no faster than they may. */
export function throttledSource(source: RangeSource, throttle: Throttle | undefined): RangeSource {
  if (throttle === undefined) return source;
  return {
    ...source,
    async open(range, signal) {
      const answer = await source.open(range, signal);
      return { ...answer, bytes: throttled(answer.bytes, throttle, signal) };
    },
  };
}

async function* throttled(bytes: AsyncIterable<Uint8Array>, throttle: Throttle, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    await throttle(piece.length, signal);
    yield piece;
  }
}
