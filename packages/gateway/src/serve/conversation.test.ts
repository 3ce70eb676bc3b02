import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import type { JsonObject } from "../json-body.ts";
import { conversationOf } from "./conversation.ts";

const user = (content: unknown) => ({ role: "user", content });
const chat = (...messages: readonly unknown[]): JsonObject => ({ model: "m", messages });
const secret = "the moon is made of green cheese";

describe("a conversation", () => {
  test("is the same from turn to turn, and another where it began otherwise", () => {
    const first = conversationOf(chat({ role: "system", content: "Be brief." }, user("Hello")));
    const later = chat(
      { role: "system", content: "Be brief." },
      user("Hello"),
      { role: "assistant", content: "Hi" },
      user("More"),
    );
    expect(conversationOf({ ...later, temperature: 1, stream: true })).toBe(first);
    expect(conversationOf({ ...later, model: "other" })).not.toBe(first);
    expect(conversationOf(chat({ role: "system", content: "Be long." }, user("Hello")))).not.toBe(first);
    expect(conversationOf(chat({ role: "system", content: "Be brief." }, user("Bye")))).not.toBe(first);
  });

  test("is told in every API: parts of text, a system prompt of its own, instructions, prompts, token ids", () => {
    const plain = conversationOf(chat(user("Hello")));
    expect(conversationOf(chat(user([{ type: "text", text: "Hello" }])))).toBe(plain);
    expect(conversationOf({ ...chat(user("Hello")), system: "Be brief." })).toBe(
      conversationOf(chat({ role: "system", content: "Be brief." }, user("Hello"))),
    );
    expect(conversationOf({ model: "m", instructions: "Be brief.", input: [user("Hello")] })).toBe(
      conversationOf(chat({ role: "developer", content: "Be brief." }, user("Hello"))),
    );
    expect(conversationOf({ model: "m", input: "Hello" })).toBe(plain);
    const story = "x".repeat(256);
    expect(conversationOf({ model: "m", prompt: `${story} one` })).toBe(conversationOf({ model: "m", prompt: `${story} two` }));
    expect(conversationOf({ model: "m", prompt: [1, 23] })).not.toBe(conversationOf({ model: "m", prompt: [12, 3] }));
    expect(conversationOf({ model: "m" })).toBeNull();
    expect(conversationOf(chat())).toBeNull();
  });

  test.prop([fc.jsonValue(), fc.jsonValue(), fc.jsonValue()])(
    "of whatever is sent is a short text without content",
    (a, b, c) => {
      const body = { model: a, messages: b, prompt: c, system: secret } as JsonObject;
      expect(conversationOf(body)).toMatch(/^[0-9a-f]{32}$/);
    },
  );
});
