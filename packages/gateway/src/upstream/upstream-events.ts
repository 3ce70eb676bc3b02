import { ClusterdError } from "@clusterd/wire";
import { isObject, type JsonObject } from "../json-body.ts";
import { ENGINE_EVENT_BYTES_MAX } from "../limits.ts";

/** Turns an upstream's stream into events as the engine writes them. */
export interface UpstreamEvents {
  /** The events that are complete with this chunk, up to one that is none, or is an error. */
  push(chunk: Uint8Array): readonly Buffer[];
  /** What came after the last event given, an `upstream_failed`; null: nothing is wrong so far. */
  readonly failure: unknown;
}

const MESSAGE_LENGTH_MAX = 500;

/**
 * Any server-sent events (lines that end in LF, CR or CRLF; with or without a space after the colon), read line by line up to a limit
 * and written anew: of each event only its data, and its name where it has one. Comments stay behind.
 */
export function createUpstreamEvents(name: string): UpstreamEvents {
  const decoder = new TextDecoder();
  // The line that has not ended, in the parts it came in: what is long is not looked through again and again.
  let rest: string[] = [];
  let restLength = 0;
  let skipNewline = false;
  let data: string[] = [];
  let event: string | null = null;
  let length = 0;

  const finish = (): Buffer | null => {
    const [text, called] = [data.join("\n"), event];
    [data, event, length] = [[], null, 0];
    if (text === "") return null;
    if (text === "[DONE]") return Buffer.from("data: [DONE]\n\n");
    const json = parsed(name, text);
    if (isObject(json["error"])) throw eventError(name, json["error"]);
    return Buffer.from(`${called === null ? "" : `event: ${called}\n`}data: ${JSON.stringify(json)}\n\n`);
  };

  const take = (line: string): Buffer | null => {
    if (line === "") return finish();
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    length += line.length;
    if (length > ENGINE_EVENT_BYTES_MAX) throw tooLong(name);
    if (field === "data") data.push(value);
    else if (field === "event" && /^[\w.-]{1,64}$/.test(value)) event = value;
    return null;
  };

  const read = (chunk: Uint8Array, onEvent: (event: Buffer) => void): void => {
    let text = decoder.decode(chunk, { stream: true });
    if (skipNewline && text.startsWith("\n")) text = text.slice(1);
    skipNewline = text === "" ? skipNewline : text.endsWith("\r");
    const ended = text.split(/\r\n|\n|\r/);
    const last = ended.pop() ?? "";
    for (const line of ended) {
      const bytes = take(rest.join("") + line);
      [rest, restLength] = [[], 0];
      if (bytes !== null) onEvent(bytes);
    }
    rest.push(last);
    restLength += last.length;
    if (restLength > ENGINE_EVENT_BYTES_MAX) throw tooLong(name);
  };

  let failure: unknown = null;
  return {
    push(chunk) {
      const events: Buffer[] = [];
      try {
        read(chunk, (event) => events.push(event));
      } catch (error) {
        failure = error;
      }
      return events;
    },
    get failure() {
      return failure;
    },
  };
}

function parsed(name: string, text: string): JsonObject {
  try {
    const json: unknown = JSON.parse(text);
    if (isObject(json)) return json;
  } catch {
    // Told below: what it is instead is nobody's business but the upstream's.
  }
  throw new ClusterdError("upstream_failed", `The upstream ${name} sent something unreadable.`);
}

function tooLong(name: string): ClusterdError {
  return new ClusterdError("upstream_failed", `The upstream ${name} sent an event of more than ${ENGINE_EVENT_BYTES_MAX} bytes.`);
}

function eventError(name: string, error: JsonObject): ClusterdError {
  const { message } = error;
  const said = typeof message === "string" ? `: ${message.slice(0, MESSAGE_LENGTH_MAX)}` : ".";
  return new ClusterdError("upstream_failed", `The upstream ${name} broke off its answer${said}`);
}
