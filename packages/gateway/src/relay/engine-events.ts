import { ENGINE_EVENT_BYTES_MAX } from "../limits.ts";

/** One server-sent event of the engine, its blank line included. */
export interface EngineEvent {
  /**
   * `progress`: a chunk that tells only how much of the prompt is worked off; `last`: a chunk after which nothing comes; `done`: a mark
   * that nothing comes, itself no chunk.
   */
  readonly kind: "chunk" | "progress" | "last" | "done" | "error" | "comment" | "empty" | "garbled";
  /** What the event calls itself (`event: message_start`); null where it has no name. */
  readonly name: string | null;
  readonly bytes: Buffer;
}

const END = Buffer.from("\n\n");
const DATA = Buffer.from("data: {");
const ERROR = Buffer.from('data: {"error"');
const DONE = Buffer.from("data: [DONE]");
/** The engine begins text completions with this; clients take it for a chunk and fail on it. */
const EMPTY = Buffer.from("data: null");
const PROGRESS = Buffer.from(',"prompt_progress":{');
const PROGRESS_BYTES_MAX = 160;
const NAME = Buffer.from("event: ");
const NAME_BYTES_MAX = 64;
/** Named events that end a stream by themselves: of the messages API, and of the responses API. */
const LAST: ReadonlySet<string> = new Set(["message_stop", "response.completed", "response.incomplete", "response.failed"]);
const COLON = 0x3a;
const NEWLINE = 0x0a;
const BRACE = 0x7d;

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  return bytes.length >= prefix.length && bytes.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}

function toEvent(bytes: Buffer): EngineEvent {
  if (!startsWith(bytes, NAME)) return { kind: kindOf(bytes), name: null, bytes };
  const line = bytes.subarray(0, NAME.length + NAME_BYTES_MAX + 1).indexOf(NEWLINE);
  if (line === -1) return { kind: "garbled", name: null, bytes };
  const name = bytes.toString("utf8", NAME.length, line);
  const kind = kindOf(bytes.subarray(line + 1));
  return { kind: kind !== "chunk" ? kind : name === "error" ? "error" : LAST.has(name) ? "last" : "chunk", name, bytes };
}

/** What an event is, told by its first and last bytes: chunks are passed on without being parsed. */
function kindOf(bytes: Buffer): EngineEvent["kind"] {
  if (startsWith(bytes, ERROR)) return "error";
  if (startsWith(bytes, DATA)) return bytes[bytes.length - END.length - 1] === BRACE ? chunkKind(bytes) : "garbled";
  if (startsWith(bytes, DONE)) return "done";
  if (startsWith(bytes, EMPTY)) return "empty";
  return bytes.length === END.length || bytes[0] === COLON ? "comment" : "garbled";
}

/** The engine puts its progress last; quotes within a text would be escaped. */
function chunkKind(bytes: Buffer): "chunk" | "progress" {
  return bytes.subarray(-PROGRESS_BYTES_MAX).includes(PROGRESS) ? "progress" : "chunk";
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
        events.push(toEvent(event));
        start = at + END.length;
        at = bytes.indexOf(END, start);
      }
      rest = bytes.subarray(start);
      if (rest.length > ENGINE_EVENT_BYTES_MAX) {
        events.push({ kind: "garbled", name: null, bytes: rest });
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
  const named = event.name === null ? 0 : NAME.length + Buffer.byteLength(event.name) + 1;
  return JSON.parse(event.bytes.toString("utf8", named + "data: ".length));
}
