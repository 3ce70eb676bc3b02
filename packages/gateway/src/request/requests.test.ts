import { fc, test as property } from "@fast-check/vitest";
import { ClusterdError } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import { isObject, type JsonObject } from "../json-body.ts";
import { chatRequest } from "./chat-request.ts";
import { completionRequest } from "./completion-request.ts";
import { drainBody, loadBody, noFields, oneName } from "./control-bodies.ts";

const CHAT = { model: "m", messages: [{ role: "user", content: "hi" }] };
const chat = (more: JsonObject): JsonObject => chatRequest({ ...CHAT, ...more }).jobs[0]?.body ?? {};

function paramOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof ClusterdError && error.code === "invalid_request") return error.param;
    throw error;
  }
  return "not refused";
}

const TOOL = {
  type: "function",
  function: { name: "look", description: "d", parameters: { type: "object", properties: {} }, strict: true },
};

describe("chat", () => {
  test("known fields reach the engine as they are", () => {
    const fields = {
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      min_p: 0.1,
      typical_p: 1,
      seed: 7,
      stop: ["a"],
      presence_penalty: 1,
      frequency_penalty: -1,
      repeat_penalty: 1.1,
      logit_bias: { "15": -100 },
      reasoning_effort: "low",
      chat_template_kwargs: { enable_thinking: false },
    };
    expect(chat({ ...fields, max_tokens: 5 })).toEqual({ ...fields, max_tokens: 5, messages: CHAT.messages });
  });

  test("unknown fields and bookkeeping never do; null stands for absent", () => {
    const extras = {
      n_discard: -1,
      n_predict: -1,
      id_slot: 0,
      grammar: "x",
      lora: [],
      user: "u",
      metadata: { a: "b" },
      store: true,
      cache_prompt: false,
    };
    expect(chat({ ...extras, temperature: null, tools: null, stop: null })).toEqual({ messages: CHAT.messages });
  });

  test.each<[JsonObject, string]>([
    [{ n: 1e9 }, "n"],
    [{ n: 0 }, "n"],
    [{ n: 9 }, "n"],
    [{ n: 1.5 }, "n"],
    [{ max_tokens: -1e9 }, "max_tokens"],
    [{ max_tokens: 0 }, "max_tokens"],
    [{ max_completion_tokens: "5" }, "max_completion_tokens"],
    [{ temperature: "hot" }, "temperature"],
    [{ temperature: -1 }, "temperature"],
    [{ temperature: 1e308 }, "temperature"],
    [{ top_p: 2 }, "top_p"],
    [{ top_k: 0.5 }, "top_k"],
    [{ seed: 1.5 }, "seed"],
    [{ stop: Array.from({ length: 10_000 }, () => "x") }, "stop"],
    [{ stop: ["x".repeat(10_000)] }, "stop"],
    [{ stop: [1] }, "stop"],
    [{ stream: "yes" }, "stream"],
    [{ stream_options: { include_usage: 1 } }, "stream_options.include_usage"],
    [{ presence_penalty: 3 }, "presence_penalty"],
    [{ logit_bias: { word: 1 } }, "logit_bias"],
    [{ logit_bias: { "1": 200 } }, "logit_bias.1"],
    [{ logprobs: 5 }, "logprobs"],
    [{ top_logprobs: 5 }, "top_logprobs"],
    [{ logprobs: true, top_logprobs: 21 }, "top_logprobs"],
    [{ logprobs: true, stream: true, tools: [TOOL] }, "logprobs"],
    [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
    [{ tools: [{ type: "function", function: { name: "a b" } }] }, "tools[0].function.name"],
    [{ tools: Array.from({ length: 129 }, () => TOOL) }, "tools"],
    [{ tool_choice: "required" }, "tool_choice"],
    [{ tools: [TOOL], tool_choice: { type: "function", function: { name: "other" } } }, "tool_choice"],
    [{ tools: [TOOL], tool_choice: "maybe" }, "tool_choice"],
    [{ response_format: { type: "xml" } }, "response_format.type"],
    [{ response_format: { type: "json_schema" } }, "response_format.json_schema"],
    [
      { response_format: { type: "json_schema", json_schema: { schema: { pattern: "a".repeat(100_000) } } } },
      "response_format.json_schema.schema",
    ],
    [
      { response_format: { type: "json_schema", json_schema: { schema: { pattern: "a{1000000}" } } } },
      "response_format.json_schema.schema",
    ],
    [{ response_format: { type: "json_object", schema: { maxItems: 1e9 } } }, "response_format.schema"],
    [
      { response_format: { type: "json_object", schema: { enum: Array.from({ length: 20_000 }, (_, at) => at) } } },
      "response_format.schema",
    ],
    [{ reasoning_effort: "huge" }, "reasoning_effort"],
    [{ chat_template_kwargs: { enable_thinking: "no" } }, "chat_template_kwargs.enable_thinking"],
    [{ chat_template_kwargs: { a: {} } }, "chat_template_kwargs.a"],
    [{ modalities: ["text", "audio"] }, "modalities"],
    [{ functions: [{ name: "f" }] }, "functions"],
    [{ web_search_options: {} }, "web_search_options"],
    [{ messages: [] }, "messages"],
    [{ messages: null }, "messages"],
    [{ messages: "hi" }, "messages"],
    [{ messages: [{ role: "root", content: "x" }] }, "messages[0].role"],
    [{ messages: [{ role: "user" }] }, "messages[0].content"],
    [{ messages: [{ role: "assistant" }] }, "messages[0].content"],
    [{ messages: [{ role: "user", content: [{ type: "video_url" }] }] }, "messages[0].content[0].type"],
    [
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "http://169.254.169.254/" } }] }] },
      "messages[0].content[0].image_url.url",
    ],
    [
      { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: { data: "http://x/" } }] }] },
      "messages[0].content[0].input_audio.data",
    ],
    [
      { messages: [{ role: "assistant", tool_calls: [{ function: { name: "f" } }] }] },
      "messages[0].tool_calls[0].function.arguments",
    ],
  ])("%j is refused, naming %s", (more, param) => {
    expect(paramOf(() => chatRequest({ ...CHAT, ...more }))).toBe(param);
  });

  test("wishes for nothing are granted", () => {
    expect(chat({ functions: [], function_call: "auto", audio: null, modalities: ["text"], stop: "", tools: [] })).toEqual({
      messages: CHAT.messages,
      stop: [],
    });
    expect(chat({ max_tokens: -1, seed: -1 })).toEqual({ messages: CHAT.messages });
  });

  test("the newer limit wins; top_k −1 means off; long seeds are cut to the engine's", () => {
    expect(chat({ max_tokens: 5, max_completion_tokens: 6 })).toMatchObject({ max_tokens: 6 });
    expect(chat({ top_k: -1 })).toMatchObject({ top_k: 0 });
    expect(chat({ seed: 2 ** 32 + 5 })).toMatchObject({ seed: 5 });
  });

  test("logprobs ask for one alternative at least, without which the engine lists nothing", () => {
    expect(chat({ logprobs: true })).toMatchObject({ logprobs: true, top_logprobs: 1 });
    expect(chat({ logprobs: true, top_logprobs: 3 })).toMatchObject({ top_logprobs: 3 });
    expect(chat({ logprobs: false, top_logprobs: 0 })).toEqual({ messages: CHAT.messages });
  });

  test("a function that must be called is the only one on offer", () => {
    const other = { type: "function", function: { name: "other" } };
    const offered = chat({ tools: [other, TOOL], tool_choice: { type: "function", function: { name: "look" } } });
    const { strict: _, ...plain } = TOOL.function;
    expect(offered).toMatchObject({ tools: [{ type: "function", function: plain }], tool_choice: "required" });
  });

  test("messages are reduced to what the engine is meant to see", () => {
    const messages = [
      { role: "system", content: [{ type: "text", text: "s", cache_control: {} }] },
      {
        role: "assistant",
        content: null,
        refusal: null,
        tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "c", content: "ok", extra: 1 },
    ];
    expect(chat({ messages })["messages"]).toEqual([
      { role: "system", content: [{ type: "text", text: "s" }] },
      { role: "assistant", tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }] },
      { role: "tool", tool_call_id: "c", content: "ok" },
    ]);
  });
});

const prompts = (prompt: unknown): readonly unknown[] =>
  completionRequest({ prompt, best_of: 1, echo: false }).jobs.map(({ body }) => body["prompt"]);

describe("completions", () => {
  test.each<[JsonObject, string]>([
    [{}, "prompt"],
    [{ prompt: [] }, "prompt"],
    [{ prompt: [-1] }, "prompt[0]"],
    [{ prompt: ["a", 1] }, "prompt[1]"],
    [{ prompt: Array.from({ length: 33 }, () => "a") }, "prompt"],
    [{ prompt: Array.from({ length: 9 }, () => "a"), n: 8 }, "n"],
    [{ prompt: "a", best_of: 3 }, "best_of"],
    [{ prompt: "a", best_of: 3, n: 2 }, "best_of"],
    [{ prompt: "a", suffix: 1 }, "suffix"],
    [{ prompt: [1], echo: true }, "echo"],
    [{ prompt: "a", echo: true, logprobs: 1 }, "logprobs"],
    [{ prompt: "a", logprobs: 21 }, "logprobs"],
    [{ prompt: "a", max_tokens: -2 }, "max_tokens"],
  ])("%j is refused, naming %s", (body, param) => {
    expect(paramOf(() => completionRequest({ model: "m", ...body }))).toBe(param);
  });

  test("texts and token ids, one or several", () => {
    expect(prompts("a")).toEqual(["a"]);
    expect(prompts([1, 2])).toEqual([[1, 2]]);
    expect(prompts(["a", "b"])).toEqual(["a", "b"]);
    expect(prompts([[1], [2, 3]])).toEqual([[1], [2, 3]]);
  });
});

property.prop([fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue()])(
  "whatever is sent: checked, or refused by name",
  (extras, value) => {
    const names = [
      "temperature",
      "stop",
      "tools",
      "tool_choice",
      "response_format",
      "messages",
      "logit_bias",
      "stream_options",
      "chat_template_kwargs",
      "n",
    ];
    for (const name of names) {
      const body = { ...extras, ...CHAT, [name]: value };
      try {
        const { jobs } = chatRequest(body);
        for (const job of jobs) expect(Object.keys(job.body).filter((key) => !(key in ALLOWED))).toEqual([]);
      } catch (error) {
        expect(error).toBeInstanceOf(ClusterdError);
        expect((error as ClusterdError).code).toBe("invalid_request");
        expect((error as ClusterdError).param).toBeTypeOf("string");
      }
    }
  },
);

const ALLOWED: Readonly<Record<string, true>> = Object.fromEntries(
  (
    "messages max_tokens temperature top_p top_k min_p typical_p seed stop presence_penalty frequency_penalty repeat_penalty logit_bias " +
    "tools tool_choice parallel_tool_calls response_format logprobs top_logprobs reasoning_effort reasoning_format reasoning_budget_tokens " +
    "chat_template_kwargs"
  )
    .split(" ")
    .map((name) => [name, true as const]),
);

describe("control bodies", () => {
  test("a load with everything", () => {
    const body = loadBody({
      model: "demo",
      as: "stable",
      objective: "spread",
      head: "mini-1",
      pin: ["pi=0-3", { node: "mini-2", firstLayer: 4, lastLayer: 15 }],
      without: ["old"],
      ctx: 1024,
      slots: 2,
      kv: "q8_0",
      draft: "small",
      speculation: "draft",
    });
    expect(body).toMatchObject({ model: "demo", objective: "spread", ctx: 1024, draft: "small", speculation: "draft" });
    expect(body.pin).toEqual([
      { node: "pi", firstLayer: 0, lastLayer: 3 },
      { node: "mini-2", firstLayer: 4, lastLayer: 15 },
    ]);
    expect(loadBody({ model: "m", ctx: null })).toEqual({ model: "m" });
    expect(loadBody({ model: "m", top: 3, promptTokens: 100 })).toEqual({ model: "m", top: 3, promptTokens: 100 });
  });

  test.each<[JsonObject, string]>([
    [{}, "model"],
    [{ model: 1 }, "model"],
    [{ model: " " }, "model"],
    [{ model: "m", context: 5 }, "context"],
    [{ model: "m", ctx: 0 }, "ctx"],
    [{ model: "m", slots: 1e9 }, "slots"],
    [{ model: "m", top: 101 }, "top"],
    [{ model: "m", promptTokens: 0 }, "promptTokens"],
    [{ model: "m", kv: "f32" }, "kv"],
    [{ model: "m", draft: "" }, "draft"],
    [{ model: "m", speculation: "ngram-simple" }, "speculation"],
    [{ model: "m", objective: "best" }, "objective"],
    [{ model: "m", pin: ["pi"] }, "pin[0]"],
    [{ model: "m", pin: ["pi=5-3"] }, "pin[0]"],
    [{ model: "m", pin: ["pi=0-99999"] }, "pin[0].lastLayer"],
    [{ model: "m", pin: [{ node: "pi", firstLayer: 0, lastLayer: 1, x: 1 }] }, "pin[0].x"],
    [{ model: "m", without: "old" }, "without"],
  ])("%j is refused, naming %s", (body, param) => {
    expect(paramOf(() => loadBody(body))).toBe(param);
  });

  test("the small ones", () => {
    expect(oneName({ code: "AB-12" }, "code")).toBe("AB-12");
    expect(paramOf(() => oneName({}, "node"))).toBe("node");
    expect(paramOf(() => oneName({ node: "a", force: true }, "node"))).toBe("force");
    expect(drainBody({ node: "a" })).toEqual({ node: "a", on: true });
    expect(drainBody({ node: "a", on: false })).toEqual({ node: "a", on: false });
    expect(paramOf(() => drainBody({ node: "a", on: "no" }))).toBe("on");
    expect(paramOf(() => noFields({ now: true }))).toBe("now");
    expect(isObject({})).toBe(true);
  });
});
