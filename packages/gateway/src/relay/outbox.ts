/** Bytes on their way to one client. Producers do not wait for it: what it does not take in time is kept up to a limit. */
export interface Outbox {
  readonly stream: ReadableStream<Uint8Array>;
  send(bytes: Uint8Array): void;
  /** Nothing more comes; what is kept is still delivered. */
  end(): void;
  /** Aborts when the client is gone, or was cut because it reads too slowly (then `tooSlow` is true). */
  readonly gone: AbortSignal;
  readonly tooSlow: boolean;
}

export interface OutboxOptions {
  readonly bytesMax: number;
  /** Closes the client's connection; false where there is none. */
  readonly cut: () => boolean;
}

export function openOutbox({ bytesMax, cut }: OutboxOptions): Outbox {
  const queue: Uint8Array[] = [];
  const gone = new AbortController();
  let kept = 0;
  let ended = false;
  let tooSlow = false;
  let connectionCut = false;
  let wake: (() => void) | null = null;

  const notify = (): void => {
    wake?.();
    wake = null;
  };

  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (queue.length === 0 && !ended && !gone.signal.aborted) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        const next = queue.shift();
        if (next !== undefined) {
          kept -= next.byteLength;
          controller.enqueue(next);
        } else if (tooSlow) {
          // A connection that was cut cancels the stream itself.
          if (!connectionCut) controller.error(new Error("The client reads too slowly."));
        } else if (ended) controller.close();
      },
      cancel() {
        queue.length = 0;
        gone.abort();
        notify();
      },
    },
    // Nothing is taken from the queue before the client's connection asks for it: the queue's limit is the whole limit.
    { highWaterMark: 0 },
  );

  return {
    stream,
    gone: gone.signal,
    get tooSlow() {
      return tooSlow;
    },
    send(bytes) {
      if (ended || gone.signal.aborted) return;
      queue.push(bytes);
      kept += bytes.byteLength;
      if (kept > bytesMax) {
        tooSlow = true;
        queue.length = 0;
        connectionCut = cut();
        gone.abort();
      }
      notify();
    },
    end() {
      ended = true;
      notify();
    },
  };
}
