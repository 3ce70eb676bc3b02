import type { Socket } from "node:net";
import type { WayOut } from "./chunk-memory.ts";

/** What a full TLS record holds: after one of these, more is likely to follow at once. */
const RECORD_BYTES: number = 16 * 1024;

/** The way into a socket. What is written in one turn leaves in one system call, and what comes alone takes no detour. */
export interface Outlet extends WayOut {
  write(bytes: Buffer): void;
  /** Until `close`, what is written waits for more; without a turn it waits until the tick's end. */
  openTurn(): void;
  closeTurn(): void;
  /** After what was written, the socket's end. */
  end(): void;
}

/**
 * The records of a TLS read come in a callback each: a full one waits for those that lie behind it, until the end of the loop's turn; a
 * shorter one is the last of its message and takes along what waits.
 */
export function createOutlet(to: Socket, count: (bytes: number) => void): Outlet {
  /** The only piece so far: most turns have one, and holding a stream back for it costs more than the write. */
  let alone: Buffer | null = null;
  let corked = false;
  let inTurn = false;
  /** What waits has its last piece. */
  let whole = false;
  let [ticking, looping] = [false, false];
  let givenBytes = 0;

  function flush(): void {
    whole = false;
    if (alone !== null) {
      const bytes = alone;
      alone = null;
      to.write(bytes);
    } else if (corked) {
      corked = false;
      to.uncork();
    }
  }
  function atTick(): void {
    ticking = false;
    if (whole) flush();
  }
  function atLoop(): void {
    looping = false;
    flush();
  }

  return {
    get givenBytes() {
      return givenBytes;
    },
    get writtenBytes() {
      // A write may be in flight when its socket is destroyed, and nothing tells when it is over.
      return to.destroyed ? 0 : givenBytes - (alone?.length ?? 0) - to.writableLength;
    },
    write(bytes) {
      count(bytes.length);
      givenBytes += bytes.length;
      if (corked) to.write(bytes);
      else if (alone === null) alone = bytes;
      else {
        corked = true;
        to.cork();
        to.write(alone);
        alone = null;
        to.write(bytes);
      }
      if (bytes.length !== RECORD_BYTES) {
        whole = true;
        if (inTurn || ticking) return;
        ticking = true;
        process.nextTick(atTick);
      } else if (!looping) {
        looping = true;
        setImmediate(atLoop);
      }
    },
    openTurn() {
      inTurn = true;
    },
    closeTurn() {
      inTurn = false;
      if (whole) flush();
    },
    end() {
      flush();
      to.end();
    },
  };
}
