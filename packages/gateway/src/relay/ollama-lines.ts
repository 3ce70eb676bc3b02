import { ClusterdError } from "@clusterd/wire";
import type { JsonObject } from "../json-body.ts";
import { ANSWER_LENGTH_MAX } from "../limits.ts";
import { objectIn } from "./call-arguments.ts";
import type { CallDelta, ChatDelta, EngineTimings } from "./chat-delta.ts";
import { logprobsOf, pieceOf, type OllamaFormOptions } from "./ollama-pieces.ts";

/** Turns the pieces of one answer into Ollama's lines. Calls of tools are told whole: each once the next begins, or the answer ends. */
export interface OllamaLines {
  add(delta: ChatDelta): readonly JsonObject[];
  /** What is left at the end, and how it ended. */
  end(): { readonly calls: readonly JsonObject[]; readonly finish: string | null; readonly timings: EngineTimings | null };
}

interface OpenCall {
  readonly index: number;
  readonly id: string;
  readonly name: string;
  readonly parts: string[];
}

export function createOllamaLines({ kind, alternatives }: Pick<OllamaFormOptions, "kind" | "alternatives">): OllamaLines {
  let open: OpenCall | null = null;
  let finish: string | null = null;
  let timings: EngineTimings | null = null;
  let length = 0;

  const told = (): readonly JsonObject[] => {
    if (open === null) return [];
    const { index, id, name, parts } = open;
    open = null;
    const call = { id, function: { index, name, arguments: objectIn(parts.join("") || "{}") } };
    return [{ ...pieceOf(kind, { toolCalls: [call] }), done: false }];
  };

  const called = ({ index, id, name, arguments: part }: CallDelta): readonly JsonObject[] => {
    const before = open?.index === index ? [] : told();
    open ??= { index, id, name, parts: [] };
    length += part.length;
    if (length > ANSWER_LENGTH_MAX)
      throw new ClusterdError("failed", `The answer is longer than ${ANSWER_LENGTH_MAX} characters.`);
    open.parts.push(part);
    return before;
  };

  return {
    add(delta) {
      finish = delta.finish ?? finish;
      timings = delta.timings ?? timings;
      const { content, reasoning: thinking } = delta;
      const logprobs = logprobsOf(delta.logprobs, alternatives);
      const said =
        content === "" && thinking === "" && logprobs.length === 0
          ? []
          : [{ ...pieceOf(kind, { content, thinking }), done: false, ...(logprobs.length === 0 ? {} : { logprobs }) }];
      return [...said, ...delta.calls.flatMap(called)];
    },
    end: () => ({ calls: told(), finish, timings }),
  };
}
