import { fc } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../json-body.ts";
import { chatChunks, chunkBytes, mixedPieces, orderedPieces, type ScriptedPiece } from "../testing/chat-chunks.ts";
import { createEventSplitter } from "./engine-events.ts";
import { messageForm, type MessageFormOptions } from "./anthropic-form.ts";

const OPTIONS: MessageFormOptions = {
  model: "stable",
  requestId: null,
  stopSequences: [],
  maxTokens: 100,
  hideThinking: false,
};

interface Block {
  readonly type: string;
  readonly text?: string;
  readonly thinking?: string;
  readonly signature?: string;
  readonly name?: string;
  readonly id?: string;
  readonly input?: unknown;
}

interface Message {
  readonly id: string;
  readonly model: string;
  readonly content: readonly Block[];
  readonly stop_reason: string | null;
  readonly stop_sequence: string | null;
  readonly usage: Readonly<Record<string, number>>;
}

function streamed(chunks: readonly JsonObject[], options = OPTIONS): readonly JsonObject[] {
  const writer = messageForm(options).writer();
  const splitter = createEventSplitter();
  const sent = [...splitter.push(Buffer.concat(chunks.map(chunkBytes)))].map((event) => writer.event(event));
  const text = [...sent, writer.end()].map((bytes) => (bytes === null ? "" : Buffer.from(bytes).toString())).join("");
  return text
    .split("\n\n")
    .filter((part) => part !== "")
    .map((part) => {
      const [, name, data = ""] = /^event: (\w+)\ndata: (.*)$/s.exec(part) ?? [];
      const json = JSON.parse(data) as JsonObject;
      expect(json["type"]).toBe(name);
      return json;
    });
}

function whole(chunks: readonly JsonObject[], options = OPTIONS): Message {
  const form = messageForm(options);
  const assembly = form.assembly();
  for (const chunk of chunks) assembly.add(chunk);
  return form.whole(assembly.answer()) as unknown as Message;
}

/** What a client makes of a stream, which throws wherever an event comes that may not come then. */
function reassembled(events: readonly JsonObject[]): Message {
  const [first, ...others] = events;
  if (first?.["type"] !== "message_start") throw new Error("does not begin with message_start");
  const message = structuredClone(first["message"]) as Omit<Message, "content"> & { readonly content: Record<string, string>[] };
  let open = false;
  let json = "";
  let ended = false;
  for (const event of others) {
    const { type, index } = event;
    if (ended) throw new Error(`${String(type)} after the end`);
    const block = message.content.at(-1);
    if (type === "content_block_start") {
      if (open || index !== message.content.length) throw new Error("a block begins out of turn");
      open = true;
      json = "";
      message.content.push({ ...(event["content_block"] as Record<string, string>) });
    } else if (type === "content_block_delta") {
      if (!open || block === undefined || index !== message.content.length - 1) throw new Error("a delta out of turn");
      const delta = event["delta"] as Record<string, string>;
      if (delta["type"] === "input_json_delta" && block["type"] === "tool_use") json += delta["partial_json"];
      else if (delta["type"] === "text_delta" && block["type"] === "text") block["text"] += delta["text"] ?? "";
      else if (block["type"] !== "thinking") throw new Error("a delta of another kind");
      else if (delta["type"] === "thinking_delta") block["thinking"] += delta["thinking"] ?? "";
      else block["signature"] = delta["signature"] ?? "";
    } else if (type === "content_block_stop") {
      if (!open || index !== message.content.length - 1) throw new Error("a block ends out of turn");
      open = false;
      if (block?.["type"] === "tool_use" && json !== "") Object.assign(block, { input: JSON.parse(json) as unknown });
    } else if (type === "message_delta") {
      if (open) throw new Error("the message ends inside a block");
      Object.assign(message, event["delta"], { usage: event["usage"] });
    } else if (type === "message_stop") ended = true;
    else throw new Error(`an unknown event ${String(type)}`);
  }
  if (!ended || message.stop_reason === null) throw new Error("has no end");
  return message as unknown as Message;
}

const finishOf = (pieces: readonly ScriptedPiece[]): string => (pieces.some((piece) => "call" in piece) ? "tool_calls" : "stop");
const joined = (blocks: readonly Block[], key: "text" | "thinking"): string => blocks.map((block) => block[key] ?? "").join("");

test("what a client makes of a stream is the whole answer", () => {
  fc.assert(
    fc.property(orderedPieces, (pieces) => {
      const chunks = chatChunks(pieces, finishOf(pieces));
      const { id: _, ...message } = reassembled(streamed(chunks));
      const { id, ...all } = whole(chunks);
      expect(message).toEqual(all);
      expect(id).toMatch(/^msg_\w{32}$/);
    }),
  );
});

test("whatever order an engine streams in, the events are in order and nothing is lost", () => {
  fc.assert(
    fc.property(mixedPieces, (pieces) => {
      const chunks = chatChunks(pieces, finishOf(pieces));
      const { content } = reassembled(streamed(chunks));
      const all = whole(chunks).content;
      expect(joined(content, "text")).toBe(joined(all, "text"));
      expect(joined(content, "thinking")).toBe(joined(all, "thinking"));
      const calls = (blocks: readonly Block[]): readonly Block[] => blocks.filter(({ type }) => type === "tool_use");
      expect(calls(content)).toEqual(calls(all));
    }),
  );
});

test("the first event tells the prompt's tokens, the last all of them", () => {
  const events = streamed(chatChunks([{ content: "Paris" }], "stop"));
  const start = { input_tokens: 5, cache_read_input_tokens: 2, cache_creation_input_tokens: 0, output_tokens: 0 };
  expect(events[0]).toMatchObject({ type: "message_start", message: { model: "demo-16l-q8_0", content: [], usage: start } });
  expect(events.at(-2)).toMatchObject({ type: "message_delta", usage: { ...start, output_tokens: 3 } });
});

describe("why an answer ended", () => {
  const said: readonly ScriptedPiece[] = [{ content: "Paris" }];
  const stopped = { __verbose: { stopping_word: "\n" } };
  test.each([
    ["its own end", "stop", {}, OPTIONS, "end_turn", null],
    ["a string of the client's", "stop", stopped, { ...OPTIONS, stopSequences: ["\n"] }, "stop_sequence", "\n"],
    ["a string of the template's", "stop", stopped, { ...OPTIONS, stopSequences: ["."] }, "end_turn", null],
    ["the limit", "length", {}, { ...OPTIONS, maxTokens: 3 }, "max_tokens", null],
    ["the context, before the limit", "length", {}, OPTIONS, "model_context_window_exceeded", null],
    ["the context, without a limit", "length", {}, { ...OPTIONS, maxTokens: null }, "model_context_window_exceeded", null],
    ["a call", "tool_calls", {}, OPTIONS, "tool_use", null],
  ])("%s", (_, finish, more, options, reason, sequence) => {
    const chunks = chatChunks(said, finish, more);
    for (const message of [reassembled(streamed(chunks, options)), whole(chunks, options)]) {
      expect([message.stop_reason, message.stop_sequence]).toEqual([reason, sequence]);
    }
  });
});

test("thinking that is to be left out is told to have been", () => {
  const chunks = chatChunks([{ reasoning: "hm" }, { content: "Paris" }], "stop");
  const options = { ...OPTIONS, hideThinking: true };
  for (const { content } of [reassembled(streamed(chunks, options)), whole(chunks, options)]) {
    expect(content).toEqual([
      { type: "thinking", thinking: "", signature: expect.any(String) as string },
      { type: "text", text: "Paris" },
    ]);
  }
});

test("an answer of nothing is one without blocks", () => {
  const chunks = chatChunks([], "stop");
  expect(reassembled(streamed(chunks)).content).toEqual([]);
  expect(whole(chunks).content).toEqual([]);
});

test("arguments that were cut off leave a whole answer without any", () => {
  const chunks = chatChunks([{ call: 0, name: "f", part: '{"city":"Par' }], "length");
  expect(whole(chunks).content).toEqual([{ type: "tool_use", id: "id0", name: "f", input: {} }]);
});
