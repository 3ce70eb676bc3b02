import type { Socket } from "node:net";

/** Ways kept open towards one deployment, at most. */
const SPARES_MAX = 4;
/** How long a way waits for its request: the gate at its other end gives up after `GATE_ASK_MS_MAX`. */
const SPARE_MS_MAX = 8_000;
/** A way for the next request is opened when this one's has had its start. */
const REFILL_MS = 100;

/**
 * Ways to the gates of other nodes' engines that are open before a request comes: opening one takes a TLS handshake, some 4 ms of
 * processor time, which the request would wait for. Each request that goes through a gate leaves a fresh way behind, for a few seconds.
 */
export interface SpareWays {
  /** An open way, or null. It may have been closed at the other end just now: who takes it must be ready to open another. */
  take(key: string): Socket | null;
  /** Opens one more, soon, unless there are enough. What fails is not told: the next request opens its own. */
  refill(key: string, open: (signal: AbortSignal) => Promise<Socket>): void;
}

export function createSpareWays(times: { readonly spareMsMax?: number; readonly refillMs?: number } = {}): SpareWays {
  const { spareMsMax = SPARE_MS_MAX, refillMs = REFILL_MS } = times;
  const spares = new Map<string, Map<Socket, () => void>>();
  const opening = new Map<string, number>();

  function keep(key: string, socket: Socket): void {
    const all = spares.get(key) ?? new Map<Socket, () => void>();
    spares.set(key, all);
    const drop = (): void => void socket.destroy();
    const timer = setTimeout(drop, spareMsMax);
    timer.unref();
    const forget = (): void => {
      clearTimeout(timer);
      all.delete(socket);
      if (all.size === 0 && spares.get(key) === all) spares.delete(key);
    };
    socket.on("error", drop);
    socket.once("close", forget);
    all.set(socket, forget);
  }

  async function open(key: string, opener: (signal: AbortSignal) => Promise<Socket>): Promise<void> {
    try {
      keep(key, await opener(AbortSignal.timeout(spareMsMax)));
    } catch {
      // Whoever needs the way opens it, and learns then why it cannot be opened.
    }
    const left = (opening.get(key) ?? 1) - 1;
    if (left > 0) opening.set(key, left);
    else opening.delete(key);
  }

  return {
    take(key) {
      for (const [socket, forget] of spares.get(key) ?? []) {
        forget();
        if (!socket.destroyed && socket.writable) return socket;
        socket.destroy();
      }
      return null;
    },
    refill(key, opener) {
      const soon = opening.get(key) ?? 0;
      if ((spares.get(key)?.size ?? 0) + soon >= SPARES_MAX) return;
      opening.set(key, soon + 1);
      setTimeout(() => void open(key, opener), refillMs).unref();
    },
  };
}
