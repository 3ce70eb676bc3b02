import { fc } from "@fast-check/vitest";
import { ClusterdError, asClusterdError } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../json-body.ts";
import { fakeRoute } from "../../testing/fake-backend.ts";
import type { GenerationRequest } from "../generation-request.ts";
import { keepAliveOf } from "./keep-alive.ts";
import { ollamaChatRequest } from "./ollama-chat.ts";
import { ollamaEmbedRequest } from "./ollama-embed.ts";
import { ollamaGenerateRequest } from "./ollama-generate.ts";

const USER = { role: "user", content: "hello" };
const chat = (body: JsonObject): GenerationRequest => ollamaChatRequest({ model: "demo", messages: [USER], ...body });
const generate = (body: JsonObject): GenerationRequest => ollamaGenerateRequest({ model: "demo", prompt: "hello", ...body });
const bodyOf = ({ jobs }: GenerationRequest): JsonObject => jobs[0]?.body ?? {};

function refusal(make: () => unknown): string | undefined {
  try {
    make();
  } catch (error) {
    const { param, message } = asClusterdError(error);
    expect(message).toContain(`\`${param}\``);
    return param;
  }
  throw new Error("it was not refused");
}

test("a plain chat streams unless it says otherwise", () => {
  expect([chat({}).stream, chat({ stream: false }).stream]).toEqual([true, false]);
  expect(bodyOf(chat({}))).toEqual({ messages: [USER] });
});

describe("options", () => {
  test("are the engine's, some under another name", () => {
    const options = { num_predict: 5, temperature: 0.5, top_k: 3, top_p: 0.5, min_p: 0.1, seed: 7, stop: ["x"] };
    const penalties = { repeat_penalty: 1.1, presence_penalty: 0.5, frequency_penalty: 0.5, repeat_last_n: 64, typical_p: 0.9 };
    const { num_predict: limit, ...same } = options;
    const body = bodyOf(chat({ options: { ...options, ...penalties } }));
    expect(body).toEqual({ messages: [USER], ...same, ...penalties, max_tokens: limit });
  });

  test.each([-1, -2])("num_predict %i is no limit", (num_predict) => {
    expect(bodyOf(chat({ options: { num_predict } }))).toEqual({ messages: [USER] });
  });

  test("of how a model is run are dropped", () => {
    const options = { num_gpu: 99, num_thread: 4, num_batch: 512, use_mmap: true, num_keep: 5, low_vram: false, made_up: 1 };
    expect(bodyOf(chat({ options }))).toEqual({ messages: [USER] });
  });

  test("num_ctx is refused where the model runs with less, and then only", () => {
    const route = fakeRoute({ context: 1024 });
    expect(bodyOf(chat({ options: { num_ctx: 1024 } }).forRoute?.(route) ?? chat({}))).toEqual({ messages: [USER] });
    expect(refusal(() => chat({ options: { num_ctx: 1025 } }).forRoute?.(route))).toBe("options.num_ctx");
    // A request that can be served elsewhere too.
    expect(chat({}).forRoute).toBe(undefined);
  });

  test.each([
    ["temperature", "hot"],
    ["top_k", 1.5],
    ["num_predict", -3],
    ["num_ctx", "x"],
    ["stop", [1]],
    ["tfs_z", 0.5],
    ["mirostat", 3],
  ])("%s: %j is refused", (name, value) => {
    expect(refusal(() => chat({ options: { [name]: value } }))).toBe(`options.${name}`);
  });
});

describe("messages", () => {
  test("calls and their results find each other without ids", () => {
    const call = (name: string): JsonObject => ({ function: { name, arguments: { city: "Paris" } } });
    const messages = [
      USER,
      { role: "assistant", content: "", thinking: "Hm.", tool_calls: [call("f"), call("g")] },
      { role: "tool", tool_name: "g", content: "two" },
      { role: "tool", content: "one" },
    ];
    const made = (id: string, name: string): JsonObject => ({
      id,
      type: "function",
      function: { name, arguments: '{"city":"Paris"}' },
    });
    expect(bodyOf(chat({ messages }))["messages"]).toEqual([
      USER,
      { role: "assistant", content: "", reasoning_content: "Hm.", tool_calls: [made("call_1", "f"), made("call_2", "g")] },
      { role: "tool", content: "two", tool_call_id: "call_2", name: "g" },
      { role: "tool", content: "one", tool_call_id: "call_1" },
    ]);
  });

  test("images come inside", () => {
    const image = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
    const expected = [{ role: "user", content: [{ type: "text", text: "hello" }, image] }];
    expect(bodyOf(chat({ messages: [{ ...USER, images: ["AAAA"] }] }))["messages"]).toEqual(expected);
    expect(bodyOf(generate({ images: ["AAAA"] }))["messages"]).toEqual(expected);
  });

  test.each<readonly [string, JsonObject, string]>([
    ["no messages", { messages: "x" }, "messages"],
    ["another role", { messages: [{ role: "robot", content: "x" }] }, "messages[0].role"],
    ["no text", { messages: [{ role: "user", content: 5 }] }, "messages[0].content"],
    ["an address of an image", { messages: [{ ...USER, images: ["http://x"] }] }, "messages[0].images[0]"],
    [
      "a call without a name",
      { messages: [{ role: "assistant", tool_calls: [{ function: {} }] }] },
      "messages[0].tool_calls[0].function.name",
    ],
    ["a schema that is none", { format: 5 }, "format"],
    ["another format", { format: "xml" }, "format"],
    ["another level", { think: "deep" }, "think"],
    ["another keep_alive", { keep_alive: "soon" }, "keep_alive"],
    ["alternatives alone", { top_logprobs: 2 }, "top_logprobs"],
  ])("%s is refused", (_, body, param) => {
    expect(refusal(() => chat(body))).toBe(param);
  });
});

test("formats and thinking", () => {
  const schema = { type: "object" };
  expect(bodyOf(chat({ format: "json" }))).toMatchObject({ response_format: { type: "json_object" } });
  expect(bodyOf(chat({ format: schema }))).toMatchObject({ response_format: { type: "json_schema", json_schema: { schema } } });
  expect(bodyOf(chat({ format: "" }))).toEqual({ messages: [USER] });
  expect(bodyOf(chat({ think: false }))).toMatchObject({ chat_template_kwargs: { enable_thinking: false } });
  expect(bodyOf(generate({ think: "low" }))).toMatchObject({
    reasoning_effort: "low",
    chat_template_kwargs: { enable_thinking: true },
  });
});

describe("a text to generate", () => {
  test("is a chat of one message", () => {
    expect(generate({ system: "Be kind." })).toMatchObject({ path: "/v1/chat/completions", promptParam: "prompt" });
    expect(bodyOf(generate({ system: "Be kind." }))["messages"]).toEqual([{ role: "system", content: "Be kind." }, USER]);
  });

  test("goes on as it stands where it is raw", () => {
    const request = generate({ raw: true, options: { num_predict: 5 } });
    expect([request.path, bodyOf(request)]).toEqual(["/v1/completions", { prompt: "hello", max_tokens: 5 }]);
  });

  test("has a gap filled where the model can", () => {
    const request = generate({ suffix: "!", options: { num_predict: 5 } });
    const infill = { prefix: 1, suffix: 2, middle: 3, begin: null };
    const filled = request.forRoute?.(fakeRoute({ infill })) ?? request;
    expect(bodyOf(filled)).toEqual({ prompt: [1, "hello", 2, "!", 3], max_tokens: 5 });
    expect(filled.form.contentType).toContain("ndjson");
    expect(() => request.forRoute?.(fakeRoute())).toThrow(/cannot fill a gap/);
  });

  test.each<readonly [string, JsonObject]>([
    ["template", { template: "{{ .Prompt }}" }],
    ["context", { context: [1, 2] }],
    ["width", { width: 512 }],
    ["system", { raw: true, system: "x" }],
    ["images", { suffix: "x", images: ["AAAA"] }],
    ["format", { raw: true, format: "json" }],
    ["logprobs", { raw: true, logprobs: true }],
  ])("%s is refused by name", (name, body) => {
    expect(refusal(() => generate(body))).toBe(name);
  });
});

describe("vectors", () => {
  const packed = Buffer.from(Float32Array.of(1, 0.5).buffer).toString("base64");
  const answer = { data: [{ embedding: packed, encoding_format: "base64" }], usage: { prompt_tokens: 3 } };

  test("of several texts, and of one in the older way", () => {
    const embed = ollamaEmbedRequest({ model: "demo", input: ["a"], truncate: true }, "embed");
    expect(embed.form.whole(answer)).toMatchObject({ model: "demo", embeddings: [[1, 0.5]], prompt_eval_count: 3 });
    const older = ollamaEmbedRequest({ model: "demo", prompt: "a" }, "embeddings");
    expect(older.form.whole(answer)).toEqual({ embedding: [1, 0.5] });
  });

  test("what they cannot be is refused by name", () => {
    expect(refusal(() => ollamaEmbedRequest({ model: "demo", input: "a", dimensions: 5 }, "embed"))).toBe("dimensions");
    expect(refusal(() => ollamaEmbedRequest({ model: "demo", prompt: ["a"] }, "embeddings"))).toBe("prompt");
  });
});

test("whatever is sent, it is taken or refused by name", () => {
  const names = [
    "messages",
    "prompt",
    "suffix",
    "system",
    "images",
    "options",
    "format",
    "think",
    "tools",
    "keep_alive",
    "stream",
    "raw",
  ];
  const item = fc.record(
    Object.fromEntries(["role", "content", "tool_calls", "images", "tool_name"].map((name) => [name, fc.jsonValue()])),
  );
  const value = fc.oneof(fc.jsonValue(), fc.array(item));
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), value), (body) => {
      const { input = "x", ...others }: JsonObject = body;
      for (const make of [
        () => chat(body),
        () => generate(body),
        () => ollamaEmbedRequest({ model: "demo", input, ...others }, "embed"),
      ]) {
        try {
          make();
        } catch (error) {
          expect(error).toBeInstanceOf(ClusterdError);
        }
      }
    }),
  );
});

test.each([
  ["5m", 300],
  ["1h30m", 5_400],
  ["1.5s", 1.5],
  ["250ms", 0.25],
  [10, 10],
  ["10", 10],
  [0, 0],
  ["0s", 0],
  [-1, null],
  ["-1m", null],
  ["", undefined],
  [undefined, undefined],
])("keep_alive %j", (value, seconds) => {
  expect(keepAliveOf(value)).toBe(seconds);
});
