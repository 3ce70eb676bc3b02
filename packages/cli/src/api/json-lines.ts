import { ClusterdError } from "@clusterd/wire";
import { EVENT_CHARACTERS_MAX } from "./event-stream.ts";

/** The JSON values of a body with one a line (NDJSON). */
export async function* readJsonLines(body: AsyncIterable<Uint8Array>): AsyncGenerator {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") yield parse(line);
    if (rest.length > EVENT_CHARACTERS_MAX)
      throw new ClusterdError("failed", `The daemon sent a line of more than ${EVENT_CHARACTERS_MAX} characters.`);
  }
  if (rest.trim() !== "") yield parse(rest);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new ClusterdError("failed", "The daemon sent a line that is not JSON.", { cause: error });
  }
}
