import { ClusterdError, type ErrorCode } from "@clusterd/wire";
import type { Duplex } from "node:stream";
import { CALLER_LENGTH_MAX, GATE_LINE_BYTES_MAX } from "./limits.ts";

/** What a member says first at the gate of a deployment's engine: whose request it is, and which. */
export interface GateAsk {
  readonly caller: string;
  readonly path: string;
  /** A further part of a request that has had a turn. */
  readonly more: boolean;
}

/**
 * What the gate answers, a line each: the place in the queue as it changes; then either that it is open, after which the bytes are
 * the engine's, or why it stays shut.
 */
export type GateAnswer =
  | { readonly position: number; readonly retryAfterSeconds: number }
  | { readonly go: true; readonly apiKey: string }
  | { readonly error: GateError };

interface GateError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly next: string | null;
  readonly retryAfterSeconds: number | null;
}

/** Paths that read or count and need no slot of the engine. */
const SLOTLESS: ReadonlySet<string> = new Set([
  "/health",
  "/metrics",
  "/props",
  "/slots",
  "/v1/models",
  "/tokenize",
  "/detokenize",
  "/apply-template",
  "/v1/messages/count_tokens",
  "/v1/chat/completions/input_tokens",
]);

/** Whether a request to the engine is worked on in one of its slots. */
export function needsSlot(path: string): boolean {
  return !SLOTLESS.has(path.split("?", 1)[0] ?? "");
}

export function encodeLine(value: GateAsk | GateAnswer): string {
  return `${JSON.stringify(value)}\n`;
}

export function errorAnswer(error: ClusterdError): GateAnswer {
  const seconds = error.details?.["retryAfterSeconds"];
  return {
    error: {
      code: error.code,
      message: error.message.slice(0, GATE_LINE_BYTES_MAX / 8),
      next: error.next?.slice(0, GATE_LINE_BYTES_MAX / 8) ?? null,
      retryAfterSeconds: typeof seconds === "number" ? seconds : null,
    },
  };
}

export function refusalOf({ code, message, next, retryAfterSeconds }: GateError): ClusterdError {
  return new ClusterdError(code, message, {
    ...(next === null ? {} : { next }),
    ...(retryAfterSeconds === null ? {} : { details: { retryAfterSeconds } }),
  });
}

/** The ask in a line; null where it is none. */
export function parseAsk(line: string): GateAsk | null {
  const value = objectIn(line);
  if (value === null) return null;
  const { caller, path, more } = value;
  if (typeof caller !== "string" || typeof path !== "string" || caller.length > CALLER_LENGTH_MAX) return null;
  return { caller, path, more: more === true };
}

/** The answer in a line; null where it is none. */
export function parseAnswer(line: string): GateAnswer | null {
  const value = objectIn(line);
  if (value === null) return null;
  const { position, retryAfterSeconds, go, apiKey, error } = value;
  if (typeof position === "number" && typeof retryAfterSeconds === "number") return { position, retryAfterSeconds };
  if (go === true && typeof apiKey === "string") return { go, apiKey };
  if (typeof error !== "object" || error === null || !("code" in error) || !("message" in error)) return null;
  const { code, message, next = null, retryAfterSeconds: seconds = null } = error as Partial<GateError>;
  if (typeof code !== "string" || typeof message !== "string") return null;
  return {
    error: {
      code,
      message,
      next: typeof next === "string" ? next : null,
      retryAfterSeconds: typeof seconds === "number" ? seconds : null,
    },
  };
}

function objectIn(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

const NEWLINE = 0x0a;

/**
 * Gives on the lines that come over a socket while `onLine` wants more of them; what follows the last one stays in the socket, for
 * whoever listens to it next. `onEnd`: the other side is gone, or said something that is too long to be a line.
 */
export function readLines(socket: Duplex, onLine: (line: string) => boolean, onEnd: (why: string) => void): void {
  let rest = Buffer.alloc(0);
  const stop = (): void => {
    socket.off("readable", onReadable);
    socket.off("end", ended);
    socket.off("close", ended);
  };
  const ended = (): void => {
    stop();
    onEnd("it closed the connection");
  };
  const onReadable = (): void => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      rest = Buffer.concat([rest, chunk]);
      for (let at = rest.indexOf(NEWLINE); at !== -1; at = rest.indexOf(NEWLINE)) {
        const line = rest.toString("utf8", 0, at);
        rest = rest.subarray(at + 1);
        if (onLine(line)) continue;
        stop();
        if (rest.length > 0) socket.unshift(rest);
        return;
      }
      if (rest.length <= GATE_LINE_BYTES_MAX) continue;
      stop();
      onEnd("it said something that is no line");
      return;
    }
  };
  socket.on("readable", onReadable);
  socket.once("end", ended);
  socket.once("close", ended);
  if (socket.destroyed) ended();
  else onReadable();
}

/** Calls back once something comes over a socket, or it ends, while nothing should; returns how to stop watching. */
export function watchSilence(socket: Duplex, onBroken: () => void): () => void {
  const onReadable = (): void => {
    if (socket.read() !== null) onBroken();
  };
  socket.on("readable", onReadable);
  socket.once("end", onBroken);
  return () => {
    socket.off("readable", onReadable);
    socket.off("end", onBroken);
  };
}
