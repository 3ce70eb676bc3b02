import type { DeploymentId } from "@clusterd/wire";
import { GATE_CONNECTIONS_MAX, GATE_OPENING_MAX, RETRY_AFTER_SECONDS_UNKNOWN } from "./limits.ts";
import { queueFull } from "./turn-queue.ts";

/** One request at the gate of another node. Disposing of it ends the books about it. */
export interface GateWaiter extends Disposable {
  /** It has its first answer, or has failed: the next one may open its connection. */
  opened(): void;
  /** Where it stands, 0: not in the queue any more. */
  at(position: number, retryAfterSeconds: number): void;
}

export interface GateWaiters {
  /**
   * A place among those that are being opened. Rejects with `queue_full` where the head is known to refuse: without asking it, since
   * a crowd that is refused must cost the head nothing.
   */
  begin(
    deployment: DeploymentId,
    request: { readonly caller: string; readonly more: boolean; readonly queueLimit: number; readonly signal: AbortSignal },
  ): Promise<GateWaiter>;
  /** Requests of this node at a deployment's gate: waiting there, or being answered. */
  openAt(deployment: DeploymentId): number;
}

interface Books {
  /** Requests of this node that wait at the head, by caller. */
  readonly waiting: Map<string, number>;
  open: number;
  retryAfterSeconds: number;
}

/** What this node knows of its own requests at the gates of others. */
export function createGateWaiters(): GateWaiters {
  const books = new Map<DeploymentId, Books>();
  const line: (() => void)[] = [];
  let opening = 0;

  function release(): void {
    const next = line.shift();
    if (next === undefined) opening -= 1;
    else next();
  }

  async function permit(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (opening < GATE_OPENING_MAX) {
      opening += 1;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const gone = (): void => {
      line.splice(line.indexOf(resolve), 1);
      reject(signal.reason as Error);
    };
    line.push(resolve);
    signal.addEventListener("abort", gone);
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", gone);
    }
  }

  const waitingIn = ({ waiting }: Books): number => [...waiting.values()].reduce((sum, count) => sum + count, 0);

  return {
    openAt: (deployment) => books.get(deployment)?.open ?? 0,
    async begin(deployment, { caller, more, queueLimit, signal }) {
      await permit(signal);
      const known: Books = books.get(deployment) ?? {
        waiting: new Map(),
        open: 0,
        retryAfterSeconds: RETRY_AFTER_SECONDS_UNKNOWN,
      };
      const all = waitingIn(known);
      // The queue's own rule: others may wait there besides, which only makes it fuller.
      const full = !more && (known.waiting.get(caller) ?? 0) >= queueLimit - all;
      if (full || known.open >= GATE_CONNECTIONS_MAX) {
        release();
        throw queueFull(all, known.retryAfterSeconds);
      }
      books.set(deployment, known);
      known.open += 1;
      let isOpening = true;
      let isWaiting = false;
      let over = false;
      const wait = (waits: boolean): void => {
        if (waits === isWaiting || more) return;
        isWaiting = waits;
        const count = (known.waiting.get(caller) ?? 0) + (waits ? 1 : -1);
        if (count > 0) known.waiting.set(caller, count);
        else known.waiting.delete(caller);
      };
      const opened = (): void => {
        if (!isOpening) return;
        isOpening = false;
        release();
      };
      return {
        opened,
        at(position, retryAfterSeconds) {
          if (over) return;
          opened();
          if (position > 0) known.retryAfterSeconds = retryAfterSeconds;
          wait(position > 0);
        },
        [Symbol.dispose]() {
          if (over) return;
          over = true;
          opened();
          wait(false);
          known.open -= 1;
          if (known.open === 0) books.delete(deployment);
        },
      };
    },
  };
}
