import type { JsonObject } from "../json-body.ts";
import type { CallDelta, ChatDelta, EngineTimings } from "./chat-delta.ts";

/** What decides how an answer of Anthropic's API ends, and what it shows. */
export interface MessageWishes {
  /** The model's name as the client gave it. */
  readonly model: string;
  /** Strings at which the client wants it to end. */
  readonly stopSequences: readonly string[];
  readonly maxTokens: number | null;
  /** Whether thinking is only told to have been. */
  readonly hideThinking: boolean;
}

/** An event of Anthropic's stream; its `type` is its name. */
export type MessageEvent = JsonObject & { readonly type: string };

/** Turns the pieces of one answer into Anthropic's events: one block after the other, each begun and ended. */
export interface MessageEvents {
  add(delta: ChatDelta): readonly MessageEvent[];
  /** The events after the last piece. */
  end(): readonly MessageEvent[];
}

type Kind = "thinking" | "text" | "tool_use";

/** Clients hand thinking back with its signature, some only where there is one. Here it proves nothing. */
export const SIGNATURE = "unsigned";

const EMPTY: Readonly<Record<Exclude<Kind, "tool_use">, JsonObject>> = {
  thinking: { type: "thinking", thinking: "", signature: "" },
  text: { type: "text", text: "" },
};

export function createMessageEvents(id: string, wishes: MessageWishes): MessageEvents {
  let { model } = wishes;
  let started = false;
  let blocks = 0;
  let open: { readonly kind: Kind; readonly call: number | null } | null = null;
  let finish: string | null = null;
  let stopString: string | null = null;
  let timings: EngineTimings | null = null;

  const start = (): readonly MessageEvent[] => {
    if (started) return [];
    started = true;
    const message = { id, type: "message", role: "assistant", model, content: [], stop_reason: null, stop_sequence: null };
    return [{ type: "message_start", message: { ...message, usage: { ...messageUsage(timings), output_tokens: 0 } } }];
  };

  const delta = (change: JsonObject): MessageEvent => ({ type: "content_block_delta", index: blocks - 1, delta: change });

  const close = (): readonly MessageEvent[] => {
    if (open === null) return [];
    const signature = open.kind === "thinking" ? [delta({ type: "signature_delta", signature: SIGNATURE })] : [];
    open = null;
    return [...signature, { type: "content_block_stop", index: blocks - 1 }];
  };

  const begin = (kind: Kind, block: JsonObject, call: number | null = null): readonly MessageEvent[] => {
    const closed = close();
    open = { kind, call };
    blocks += 1;
    return [...closed, { type: "content_block_start", index: blocks - 1, content_block: block }];
  };

  const written = (kind: "thinking" | "text", text: string): readonly MessageEvent[] => {
    if (text === "") return [];
    const begun = open?.kind === kind ? [] : begin(kind, EMPTY[kind]);
    if (kind === "thinking" && wishes.hideThinking) return begun;
    return [...begun, delta({ type: `${kind}_delta`, [kind]: text })];
  };

  const called = ({ index, id, name, arguments: part }: CallDelta): readonly MessageEvent[] => {
    const begun = open?.call === index ? [] : begin("tool_use", { type: "tool_use", id, name, input: {} }, index);
    return part === "" ? begun : [...begun, delta({ type: "input_json_delta", partial_json: part })];
  };

  return {
    add(piece) {
      model = piece.model ?? model;
      timings = piece.timings ?? timings;
      finish = piece.finish ?? finish;
      stopString = piece.stopString ?? stopString;
      // The first piece says no more than whose turn it is, and not yet how long the prompt was.
      if (timings === null && isEmpty(piece)) return [];
      return [
        ...start(),
        ...written("thinking", piece.reasoning),
        ...written("text", piece.content),
        ...piece.calls.flatMap(called),
      ];
    },
    end() {
      const stop = stopOf({ finish, stopString, timings }, wishes);
      return [
        ...start(),
        ...close(),
        { type: "message_delta", delta: stop, usage: messageUsage(timings) },
        { type: "message_stop" },
      ];
    },
  };
}

function isEmpty({ reasoning, content, calls, finish }: ChatDelta): boolean {
  return reasoning === "" && content === "" && calls.length === 0 && finish === null;
}

interface Ending {
  readonly finish: unknown;
  readonly stopString: string | null;
  readonly timings: EngineTimings | null;
}

/** Why an answer ended, in Anthropic's words. The template has stop strings of its own, which are no business of the client's. */
export function stopOf({ finish, stopString, timings }: Ending, { stopSequences, maxTokens }: MessageWishes): JsonObject {
  if (finish === "tool_calls") return { stop_reason: "tool_use", stop_sequence: null };
  if (finish === "length") {
    const full = maxTokens === null || (timings !== null && timings.answerTokens < maxTokens);
    return { stop_reason: full ? "model_context_window_exceeded" : "max_tokens", stop_sequence: null };
  }
  if (stopString === null || !stopSequences.includes(stopString)) return { stop_reason: "end_turn", stop_sequence: null };
  return { stop_reason: "stop_sequence", stop_sequence: stopString };
}

/** Tokens as Anthropic counts them: what was read from the cache is not among the input. */
export function messageUsage(timings: EngineTimings | null): JsonObject {
  return {
    input_tokens: timings?.promptTokens ?? 0,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: timings?.cachedTokens ?? 0,
    output_tokens: timings?.answerTokens ?? 0,
  };
}
