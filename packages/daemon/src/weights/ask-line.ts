import type { Socket } from "node:net";
import { freeNow } from "@clusterd/catalog";
import { ClusterdError } from "@clusterd/wire";
import { SLICE_BYTES, unpackSlice } from "./packing.ts";
import { readSocket } from "./socket-reader.ts";
import { encodeLine, parseAnswer, parseSlice, type WeightAsk } from "./weight-lines.ts";

/** The largest answer: a header, or a block. */
const ANSWER_BYTES_MAX: number = 64 * 1024 * 1024;
/** Without a byte for so long, a connection is over. */
const SILENCE_MS_MAX = 20_000;
/** Slices that are unpacked while the next one comes. */
const UNPACKING_MAX = 2;

export interface Asking {
  /** How long the answer must be; absent: up to the largest there is. */
  readonly bytes?: number;
  readonly signal: AbortSignal;
  /** Waited for unpacking, and for all of the answer: milliseconds. */
  onTimes?(waitedMs: number, tookMs: number): void;
}

/** A connection on which asks follow each other without waiting for the answers, which come in the same order. */
export interface AskLine {
  /** Asked and not answered yet. */
  readonly open: number;
  readonly isOver: boolean;
  /** Null where the other side does not have it. Throws where it breaks off, or does not keep to what was asked. */
  ask(wanted: WeightAsk, asking: Asking): Promise<Buffer | null>;
}

/** `name`: of the other side, for messages. The connection is over with the first failure: what was asked besides fails with it. */
export function openAskLine(name: string, socket: Socket): AskLine {
  const reader = readSocket(socket);
  socket.setTimeout(SILENCE_MS_MAX, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  let open = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const brokeOff = (): ClusterdError => new ClusterdError("failed", `${name} broke off.`);

  /** Reads an answer off the connection; what it gives settles once the last slices are unpacked. */
  async function read({ bytes, onTimes }: Asking): Promise<{ readonly body: Promise<Buffer | null> }> {
    const line = await reader.line();
    const beganMs = performance.now();
    const answer = line === null ? null : parseAnswer(line, bytes ?? ANSWER_BYTES_MAX);
    if (answer === null) throw brokeOff();
    if ("missing" in answer) return { body: Promise.resolve(null) };
    if (bytes !== undefined && answer.bytes !== bytes)
      throw new ClusterdError("failed", `${name} sends ${answer.bytes} bytes for ${bytes}.`);
    const body = Buffer.allocUnsafeSlow(answer.bytes);
    const unpacking: Promise<void>[] = [];
    let waitedMs = 0;
    for (let at = 0; at < body.length;) {
      const told = await reader.line();
      const slice = told === null ? null : parseSlice(told, Math.min(SLICE_BYTES, body.length - at));
      if (slice === null) throw brokeOff();
      const target = body.subarray(at, at + slice.plain);
      at += slice.plain;
      const bytesSent = slice.sent === slice.plain ? target : Buffer.allocUnsafeSlow(slice.sent);
      if (!(await reader.fill(bytesSent))) throw new ClusterdError("failed", `${name} broke off in the middle.`);
      if (bytesSent === target) continue;
      const unpacked = unpackSlice(bytesSent, slice.plain).then((plain) => {
        plain.copy(target);
        freeNow(plain);
        freeNow(bytesSent);
      });
      // Told when it is waited for.
      unpacked.catch(() => undefined);
      unpacking.push(unpacked);
      if (unpacking.length <= UNPACKING_MAX) continue;
      const fromMs = performance.now();
      await unpacking.shift();
      waitedMs += performance.now() - fromMs;
    }
    onTimes?.(waitedMs, performance.now() - beganMs);
    return { body: Promise.all(unpacking).then(() => body) };
  }

  return {
    get open() {
      return open;
    },
    get isOver() {
      return socket.destroyed;
    },
    async ask(wanted, asking) {
      const { signal } = asking;
      const cut = (): void => void socket.destroy();
      open += 1;
      try {
        signal.throwIfAborted();
        signal.addEventListener("abort", cut, { once: true });
        if (socket.destroyed) throw brokeOff();
        socket.write(encodeLine(wanted));
        const before = turn;
        const reading = before.then(() => read(asking));
        turn = reading;
        reading.catch(() => undefined);
        return await (
          await reading
        ).body;
      } catch (error) {
        socket.destroy();
        signal.throwIfAborted();
        throw error;
      } finally {
        open -= 1;
        signal.removeEventListener("abort", cut);
      }
    },
  };
}
