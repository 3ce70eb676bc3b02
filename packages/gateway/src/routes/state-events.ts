import { ClusterdError } from "@clusterd/wire";
import type { Backend } from "../backend.ts";
import { HEARTBEAT_MS, READER_STALL_MS_MAX, STATE_INTERVAL_MS_MIN, SUBSCRIBERS_MAX } from "../limits.ts";

export interface StateEvents {
  /** A new stream: the state at once, then at every change. `cut` closes its connection. */
  open(cut: () => boolean): Response;
  readonly subscribers: number;
  close(): void;
}

interface Subscriber {
  offer(bytes: Uint8Array): void;
  heartbeat(): void;
  close(): void;
}

const HEARTBEAT = Buffer.from(":\n\n");

/**
 * `GET /cluster/v1/events`. Each event holds the whole state, so a reader that falls behind is given the newest one only:
 * nothing piles up.
 */
export function createStateEvents(backend: Backend): StateEvents {
  const subscribers = new Set<Subscriber>();
  let unsubscribe: (() => void) | null = null;
  let timer: NodeJS.Timeout | null = null;
  let heartbeat: NodeJS.Timeout | null = null;
  let sentMs = Number.NEGATIVE_INFINITY;

  const snapshot = (): Buffer => Buffer.from(`event: state\ndata: ${JSON.stringify(backend.state())}\n\n`);
  const send = (): void => {
    timer = null;
    sentMs = performance.now();
    const bytes = snapshot();
    for (const subscriber of subscribers) subscriber.offer(bytes);
  };
  const changed = (): void => {
    timer ??= setTimeout(send, Math.max(0, sentMs + STATE_INTERVAL_MS_MIN - performance.now()));
  };
  const watch = (): void => {
    unsubscribe ??= backend.onChange(changed);
    heartbeat ??= setInterval(() => subscribers.forEach((subscriber) => subscriber.heartbeat()), HEARTBEAT_MS);
  };
  const unwatch = (): void => {
    unsubscribe?.();
    unsubscribe = null;
    if (timer !== null) clearTimeout(timer);
    if (heartbeat !== null) clearInterval(heartbeat);
    timer = heartbeat = null;
  };

  return {
    open(cut) {
      if (subscribers.size >= SUBSCRIBERS_MAX) {
        throw new ClusterdError("queue_full", `This node has ${SUBSCRIBERS_MAX} open event streams.`, {
          next: "Close one of them.",
        });
      }
      const { stream, subscriber } = createSubscriber(cut, () => {
        subscribers.delete(subscriber);
        if (subscribers.size === 0) unwatch();
      });
      subscribers.add(subscriber);
      watch();
      // A change just before may still be waiting for its time; the first state must not be followed sooner than others.
      sentMs = performance.now();
      subscriber.offer(snapshot());
      return new Response(stream, {
        headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no" },
      });
    },
    get subscribers() {
      return subscribers.size;
    },
    close() {
      for (const subscriber of subscribers) subscriber.close();
    },
  };
}

function createSubscriber(cut: () => boolean, gone: () => void): { stream: ReadableStream<Uint8Array>; subscriber: Subscriber } {
  let waiting: Uint8Array | null = null;
  let waitingSinceMs = 0;
  let wake: (() => void) | null = null;
  let closed = false;
  const notify = (): void => {
    wake?.();
    wake = null;
  };
  const put = (bytes: Uint8Array): void => {
    if (waiting === null) waitingSinceMs = performance.now();
    waiting = bytes;
    notify();
  };
  const close = (): void => {
    if (closed) return;
    closed = true;
    gone();
    notify();
  };
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (waiting === null && !closed) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        if (waiting !== null && !closed) controller.enqueue(waiting);
        else controller.close();
        waiting = null;
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
  return {
    stream,
    subscriber: {
      offer: put,
      heartbeat() {
        if (waiting === null) put(HEARTBEAT);
        else if (performance.now() - waitingSinceMs > READER_STALL_MS_MAX) {
          cut();
          close();
        }
      },
      close,
    },
  };
}
