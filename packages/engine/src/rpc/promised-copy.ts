import { ClusterdError } from "@clusterd/wire";
import { RESPONSE_PREFIX_BYTES, writeSize } from "./protocol.ts";

/** What a placeholder begins with: the board's secret and the promise's number. The rest of it is zeros. */
export const MARK_BYTES = 32;
const NUMBER_BYTES = 8;
export const SECRET_BYTES: number = MARK_BYTES - NUMBER_BYTES;
const ZEROS: Buffer = Buffer.alloc(64 * 1024);

/** One result that the head was given a placeholder for, on its way from one stage to another. */
export interface PromisedCopy {
  readonly from: number;
  readonly to: number;
  /** The name it is set under. */
  readonly tensor: string;
  readonly bytes: number;
  readonly mark: Buffer;
  /** Whether the head has the placeholder. */
  given: boolean;
  /** Whether the head has set it where it belongs. */
  redeemed: boolean;
  /** How often its board has looked at it since it was given. */
  looks: number;
  /** The next bytes of the result. */
  fill(bytes: Buffer): void;
  /** Calls back with the whole result, at once where it is there. */
  whenFilled(take: (data: Buffer) => void): void;
  /** Gives the head its placeholder. */
  give(): void;
}

export function createPromisedCopy(
  place: Pick<PromisedCopy, "from" | "to" | "tensor" | "bytes">,
  mark: Buffer,
  send: (bytes: Buffer) => void,
): PromisedCopy {
  const data = Buffer.allocUnsafeSlow(place.bytes);
  let filled = 0;
  let taker: ((data: Buffer) => void) | null = null;
  const promise: PromisedCopy = {
    ...place,
    mark,
    given: false,
    redeemed: false,
    looks: 0,
    fill(bytes) {
      filled += bytes.copy(data, filled);
      if (filled === data.length) taker?.(data);
    },
    whenFilled(take) {
      taker = take;
      if (filled === data.length) take(data);
    },
    give() {
      promise.given = true;
      const size = Buffer.allocUnsafe(RESPONSE_PREFIX_BYTES);
      writeSize(size, 0, place.bytes);
      send(Buffer.concat([size, mark]));
      for (let left = place.bytes - mark.length; left > 0; left -= ZEROS.length)
        send(left >= ZEROS.length ? ZEROS : ZEROS.subarray(0, left));
    },
  };
  return promise;
}

/** Whether these are bytes of a placeholder behind its mark. */
export function isPadding(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const piece = bytes.subarray(at, at + ZEROS.length);
    if (!piece.equals(ZEROS.subarray(0, piece.length))) return false;
  }
  return true;
}

export function encodeMark(secret: Buffer, number: bigint): Buffer {
  const mark = Buffer.alloc(MARK_BYTES);
  secret.copy(mark);
  mark.writeBigUInt64LE(number, SECRET_BYTES);
  return mark;
}

/** A placeholder went another way than what it stands for: whatever the head made of it is worth nothing. */
export const brokenPromise = (what: string): ClusterdError =>
  new ClusterdError(
    "engine_crashed",
    `the head's engine ${what}: its stages passed results on by themselves, which is off from now on`,
  );
