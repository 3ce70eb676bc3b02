import { ClusterdError } from "@clusterd/wire";

export interface ServerEvent {
  /** `message` where the server gave no name. */
  readonly event: string;
  readonly data: string;
}

/** Characters of one event: a state of the largest cluster stays far below. */
export const EVENT_CHARACTERS_MAX: number = 16 * 1024 * 1024;

/** Server-sent events of a response body, as WHATWG defines them; comments and unknown fields are passed over. */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let event = "";
  let data: string[] = [];
  let rest = "";
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    if (rest.length + data.reduce((sum, line) => sum + line.length, 0) > EVENT_CHARACTERS_MAX) {
      throw new ClusterdError("failed", `The daemon sent an event of more than ${EVENT_CHARACTERS_MAX} characters.`);
    }
    // A carriage return at the very end may be half of a line break: it waits for the next chunk.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) yield { event: event === "" ? "message" : event, data: data.join("\n") };
        event = "";
        data = [];
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon === -1 ? line : line.slice(0, colon);
      const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") event = value;
      if (field === "data") data.push(value);
    }
  }
}
