import type { Stream } from "@libp2p/interface";
import { ClusterdError, CONTROL_FRAME_BYTES_MAX, decodeMessage, encodeFrame, encodeMessage, FrameReader } from "@clusterd/wire";

/** Messages received and not yet taken. */
const INBOX_MAX = 64;
/** Bytes waiting to be sent to a peer that does not read. */
const OUTBOX_BYTES_MAX: number = 2 * CONTROL_FRAME_BYTES_MAX;

/** Messages over one libp2p stream. */
export interface Channel {
  send(message: unknown): void;
  /** The next message. Rejects when the stream has ended, the signal fires, or the peer sends rubbish. */
  receive(signal?: AbortSignal): Promise<unknown>;
  close(): void;
  readonly closed: Promise<void>;
  readonly isOpen: boolean;
}

export function openChannel(stream: Stream): Channel {
  const reader = new FrameReader(CONTROL_FRAME_BYTES_MAX);
  const inbox: unknown[] = [];
  const waiting: { resolve(message: unknown): void; reject(error: Error): void }[] = [];
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  let failure: Error | null = null;

  function fail(error: Error): void {
    if (failure !== null) return;
    failure = error;
    for (const waiter of waiting.splice(0)) waiter.reject(error);
    stream.abort(error);
    close();
  }
  stream.addEventListener("message", (event) => {
    try {
      for (const frame of reader.push(event.data.subarray())) {
        const message = decodeMessage(frame);
        const waiter = waiting.shift();
        if (waiter !== undefined) waiter.resolve(message);
        else if (inbox.length >= INBOX_MAX) throw new ClusterdError("invalid_request", "Too many messages at once.");
        else inbox.push(message);
      }
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)));
    }
  });
  const ended = (): void => fail(new ClusterdError("failed", "The other side closed the connection."));
  stream.addEventListener("close", ended);
  stream.addEventListener("remoteCloseWrite", ended);

  return {
    get isOpen() {
      return failure === null;
    },
    closed,
    send(message) {
      if (failure !== null) throw failure;
      stream.send(encodeFrame(encodeMessage(message)));
      if (stream.writeBufferLength > OUTBOX_BYTES_MAX) fail(new ClusterdError("failed", "The other side does not read."));
    },
    async receive(signal) {
      if (inbox.length > 0) return inbox.shift();
      if (failure !== null) throw failure;
      signal?.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      const waiter = { resolve, reject };
      waiting.push(waiter);
      const abort = (): void => {
        const index = waiting.indexOf(waiter);
        if (index >= 0) waiting.splice(index, 1);
        reject(new ClusterdError("timeout", "The other side did not answer in time."));
      };
      signal?.addEventListener("abort", abort, { once: true });
      try {
        return await promise;
      } finally {
        signal?.removeEventListener("abort", abort);
      }
    },
    close() {
      if (failure !== null) return;
      failure = new ClusterdError("failed", "The connection was closed.");
      for (const waiter of waiting.splice(0)) waiter.reject(failure);
      stream.close().catch(() => stream.abort(new Error("closed")));
      close();
    },
  };
}
