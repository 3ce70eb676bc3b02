import { ENGINE_EVENT_BYTES_MAX } from "../limits.ts";

/** One server-sent event of the engine, its blank line included. */
export interface EngineEvent {
  readonly kind: "chunk" | "done" | "error" | "comment" | "empty" | "garbled";
  readonly bytes: Buffer;
}

const END = Buffer.from("\n\n");
const DATA = Buffer.from("data: {");
const ERROR = Buffer.from('data: {"error"');
const DONE = Buffer.from("data: [DONE]");
/** The engine begins text completions with this; clients take it for a chunk and fail on it. */
const EMPTY = Buffer.from("data: null");
const COLON = 0x3a;
const BRACE = 0x7d;

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  return bytes.length >= prefix.length && bytes.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}

/** What an event is, told by its first and last bytes: chunks are passed on without being parsed. */
function kindOf(bytes: Buffer): EngineEvent["kind"] {
  if (startsWith(bytes, ERROR)) return "error";
  if (startsWith(bytes, DATA)) return bytes[bytes.length - END.length - 1] === BRACE ? "chunk" : "garbled";
  if (startsWith(bytes, DONE)) return "done";
  if (startsWith(bytes, EMPTY)) return "empty";
  return bytes.length === END.length || bytes[0] === COLON ? "comment" : "garbled";
}

export interface EventSplitter {
  /** The events that are complete with this chunk. */
  push(chunk: Uint8Array): readonly EngineEvent[];
  /** Bytes of an event whose end has not come. */
  readonly pendingBytes: number;
}

/** Cuts the engine's bytes into events, wherever the chunks are cut. */
export function createEventSplitter(): EventSplitter {
  let rest: Buffer = Buffer.alloc(0);
  return {
    push(chunk) {
      const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      const bytes = rest.length === 0 ? fresh : Buffer.concat([rest, fresh]);
      const events: EngineEvent[] = [];
      let start = 0;
      // An end can lie across the chunks' border, but no earlier than one byte before it.
      let at = bytes.indexOf(END, Math.max(0, rest.length - 1));
      while (at !== -1) {
        const event = bytes.subarray(start, at + END.length);
        events.push({ kind: kindOf(event), bytes: event });
        start = at + END.length;
        at = bytes.indexOf(END, start);
      }
      rest = bytes.subarray(start);
      if (rest.length > ENGINE_EVENT_BYTES_MAX) {
        events.push({ kind: "garbled", bytes: rest });
        rest = Buffer.alloc(0);
      }
      return events;
    },
    get pendingBytes() {
      return rest.length;
    },
  };
}

/** The JSON of a chunk or error event; throws where it is none. */
export function eventJson(event: EngineEvent): unknown {
  return JSON.parse(event.bytes.toString("utf8", "data: ".length));
}
