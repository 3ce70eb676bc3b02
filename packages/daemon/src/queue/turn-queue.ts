import { ClusterdError, type QueueView } from "@clusterd/wire";
import {
  POSITIONS_MS,
  QUEUE_MORE_MAX,
  QUEUE_WAITING_MAX,
  RETRY_AFTER_SECONDS_MAX,
  RETRY_AFTER_SECONDS_UNKNOWN,
  TURNS_REMEMBERED,
} from "./limits.ts";
import { createSlotQueue } from "./slot-queue.ts";

export interface TurnRequest {
  readonly caller: string;
  /** A further part of a request that has had a turn. */
  readonly more?: boolean;
  /** Whoever waits is gone when it aborts; a turn that was given is ended by its holder alone. */
  readonly signal: AbortSignal;
  /** The place in the queue, 1 for the next: at once, and as it changes; 0 with the turn. */
  readonly onPosition?: (position: number) => void;
}

/** A turn with the engine, until it is disposed of. */
export type Turn = Disposable;

export interface TurnQueue extends Disposable {
  /** Waits for a turn. Rejects with `queue_full`, with the signal's reason, or with what `refuseAll` was given. */
  enter(request: TurnRequest): Promise<Turn>;
  readonly figures: QueueView;
  /** Seconds after which a place should be free, by how long the latest turns took. */
  readonly retryAfterSeconds: number;
  /** 0: no turn is given for now. */
  setSlots(slots: number): void;
  /** Tells all that wait that they wait in vain. */
  refuseAll(error: ClusterdError): void;
}

export interface TurnQueueOptions {
  readonly slots: number;
  readonly waitingMax?: number;
  /** After every change of the figures. */
  readonly onChange: () => void;
}

interface Entry {
  readonly onPosition: ((position: number) => void) | undefined;
  toldPosition: number;
  readonly begin: () => void;
  readonly refuse: (reason: unknown) => void;
}

/** The queue of one deployment, with what a plain structure has not: those who wait, signals, time. */
export function createTurnQueue({ slots, waitingMax = QUEUE_WAITING_MAX, onChange }: TurnQueueOptions): TurnQueue {
  const queue = createSlotQueue<Entry>({ slots, waitingMax, moreMax: QUEUE_MORE_MAX });
  /** Milliseconds of the latest turns. */
  const latest: number[] = [];
  let slotsNow = slots;
  let timer: NodeJS.Timeout | undefined;

  function tellPositions(): void {
    timer = undefined;
    queue.order().forEach((entry, at) => tell(entry, at + 1));
  }

  function tell(entry: Entry, position: number): void {
    if (entry.toldPosition === position) return;
    entry.toldPosition = position;
    entry.onPosition?.(position);
  }

  function changed(): void {
    for (const entry of queue.admit()) entry.begin();
    if (queue.waiting > 0) timer ??= setTimeout(tellPositions, POSITIONS_MS);
    onChange();
  }

  function remember(ms: number): void {
    latest.push(ms);
    if (latest.length > TURNS_REMEMBERED) latest.shift();
  }

  function retryAfterSeconds(): number {
    if (latest.length === 0) return RETRY_AFTER_SECONDS_UNKNOWN;
    const meanMs = latest.reduce((sum, ms) => sum + ms, 0) / latest.length;
    // By then what waits now has had its turns.
    const seconds = Math.ceil((queue.waiting * meanMs) / Math.max(1, slotsNow) / 1000);
    return Math.min(RETRY_AFTER_SECONDS_MAX, Math.max(1, seconds));
  }

  return {
    enter({ caller, more = false, signal, onPosition }) {
      const { promise, resolve, reject } = Promise.withResolvers<Turn>();
      if (signal.aborted) return Promise.reject(signal.reason as Error);
      const end = (): boolean => {
        signal.removeEventListener("abort", gone);
        return queue.leave(entry) !== "unknown";
      };
      const gone = (): void => entry.refuse(signal.reason);
      const entry: Entry = {
        onPosition,
        toldPosition: -1,
        begin() {
          signal.removeEventListener("abort", gone);
          const begunMs = performance.now();
          tell(entry, 0);
          resolve({
            [Symbol.dispose]() {
              if (queue.leave(entry) !== "turn") return;
              remember(performance.now() - begunMs);
              changed();
            },
          });
        },
        refuse(reason) {
          if (!end()) return;
          reject(reason);
          changed();
        },
      };
      if (!queue.enter(entry, { caller, more })) {
        return Promise.reject(queueFull(queue.waiting, retryAfterSeconds()));
      }
      signal.addEventListener("abort", gone);
      changed();
      if (entry.toldPosition !== 0) tell(entry, queue.order().indexOf(entry) + 1);
      return promise;
    },
    get figures() {
      return { active: queue.active, waiting: queue.waiting, limit: waitingMax };
    },
    get retryAfterSeconds() {
      return retryAfterSeconds();
    },
    setSlots(next) {
      if (next === slotsNow) return;
      slotsNow = next;
      queue.setSlots(next);
      changed();
    },
    refuseAll(error) {
      for (const entry of queue.order()) entry.refuse(error);
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
    },
  };
}

/** `retryAfterSeconds` becomes the answer's `Retry-After`. */
export function queueFull(waiting: number, retryAfterSeconds: number): ClusterdError {
  return new ClusterdError(
    "queue_full",
    `${waiting} requests wait for this model already: there is no place for one more of yours.`,
    {
      next: `Try again in ${retryAfterSeconds} s.`,
      details: { waiting, retryAfterSeconds },
    },
  );
}
