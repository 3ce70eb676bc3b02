import { fc } from "@fast-check/vitest";
import { ClusterdError, asClusterdError } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../json-body.ts";
import { messagesRequest } from "./messages-request.ts";

const BASE = { model: "demo", max_tokens: 10, messages: [{ role: "user", content: "hello" }] };
const TOOL = { name: "f", description: "d", input_schema: { type: "object" } };

function engineBody(body: JsonObject): JsonObject {
  const [job] = messagesRequest({ ...BASE, ...body }, null).jobs;
  return job?.body ?? {};
}

const messagesOf = (messages: unknown, more: JsonObject = {}): unknown => engineBody({ messages, ...more })["messages"];

function refusal(body: JsonObject): { readonly param: string | undefined; readonly message: string } {
  try {
    messagesRequest({ ...BASE, ...body }, null);
  } catch (error) {
    const { param, message, code } = asClusterdError(error);
    expect(code).toBe("invalid_request");
    return { param, message };
  }
  throw new Error("it was not refused");
}

test("a plain request is a chat that does not think", () => {
  expect(engineBody({})).toEqual({
    messages: [{ role: "user", content: "hello" }],
    max_tokens: 10,
    chat_template_kwargs: { enable_thinking: false },
  });
});

test("bookkeeping is dropped, wherever it is", () => {
  const control = { cache_control: { type: "ephemeral" } };
  const noted = {
    ...control,
    metadata: { user_id: "u" },
    service_tier: "auto",
    inference_geo: "eu",
    speed: "fast",
    system: [{ type: "text", text: "Be kind.", ...control }],
    messages: [{ role: "user", content: [{ type: "text", text: "hello", ...control, citations: null }] }],
    tools: [{ ...TOOL, ...control, strict: true }],
  };
  const plain = { system: "Be kind.", tools: [TOOL] };
  expect(engineBody(noted)).toEqual(engineBody(plain));
});

test("whatever is sent, it is taken or refused by name", () => {
  const names = [
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "context_management",
    "stop_sequences",
    "stream",
  ];
  const types = fc.constantFrom("text", "image", "tool_use", "tool_result", "thinking", "tool", "enabled", "base64");
  const inner = fc.record({
    type: types,
    text: fc.jsonValue(),
    source: fc.jsonValue(),
    content: fc.jsonValue(),
    input: fc.jsonValue(),
  });
  const item = fc.record({
    role: fc.constantFrom("user", "assistant", "system"),
    content: fc.oneof(fc.jsonValue(), fc.array(inner)),
  });
  const value = fc.oneof(fc.jsonValue(), fc.array(item), inner, fc.array(inner));
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), value), (body) => {
      try {
        engineBody(body);
      } catch (error) {
        expect(error).toBeInstanceOf(ClusterdError);
      }
    }),
  );
});

describe("the conversation", () => {
  test("a system prompt comes first, its blocks joined, without what agents add for the provider", () => {
    const system = [
      { type: "text", text: "x-anthropic-billing-header: cc_version=1; cch=a5145;" },
      { type: "text", text: "Be kind." },
      { type: "text", text: "Be brief." },
    ];
    expect(messagesOf(BASE.messages, { system })).toEqual([{ role: "system", content: "Be kind.\nBe brief." }, ...BASE.messages]);
    expect(messagesOf(BASE.messages, { system: "" })).toEqual(BASE.messages);
  });

  test("results of tools come before what the user says with them, and tell that they failed", () => {
    const content = [
      { type: "text", text: "And now?" },
      { type: "tool_result", tool_use_id: "a", content: "sunny" },
      { type: "tool_result", tool_use_id: "b", is_error: true, content: [{ type: "text", text: "no such city" }] },
      { type: "tool_result", tool_use_id: "c" },
    ];
    expect(messagesOf([{ role: "user", content }])).toEqual([
      { role: "tool", tool_call_id: "a", content: "sunny" },
      { role: "tool", tool_call_id: "b", content: "Error: no such city" },
      { role: "tool", tool_call_id: "c", content: "" },
      { role: "user", content: "And now?" },
    ]);
  });

  test("what the model said before, thought and called", () => {
    const content = [
      { type: "thinking", thinking: "Hm.", signature: "s" },
      { type: "redacted_thinking", data: "xyz" },
      { type: "text", text: "Let me see." },
      { type: "tool_use", id: "a", name: "f", input: { city: "Paris" } },
    ];
    expect(messagesOf([...BASE.messages, { role: "assistant", content }])).toEqual([
      ...BASE.messages,
      {
        role: "assistant",
        content: "Let me see.",
        reasoning_content: "Hm.",
        tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: '{"city":"Paris"}' } }],
      },
    ]);
  });

  test("images come inside", () => {
    const source = { type: "base64", media_type: "image/png", data: "AAAA" };
    const content = [
      { type: "image", source },
      { type: "text", text: "What is this?" },
    ];
    expect(messagesOf([{ role: "user", content }])).toEqual([
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
          { type: "text", text: "What is this?" },
        ],
      },
    ]);
  });
});

describe("tools", () => {
  const choose = (tool_choice: unknown): JsonObject => engineBody({ tools: [TOOL, { ...TOOL, name: "g" }], tool_choice });
  const named = (body: JsonObject): unknown =>
    (body["tools"] as readonly { function: { name: string } }[] | undefined)?.map((tool) => tool.function.name);

  test("are a chat's functions", () => {
    expect(engineBody({ tools: [TOOL] })["tools"]).toEqual([
      { type: "function", function: { name: "f", description: "d", parameters: { type: "object" } } },
    ]);
  });

  test.each([
    [{ type: "auto" }, "auto", ["f", "g"]],
    [{ type: "any" }, "required", ["f", "g"]],
    [{ type: "none" }, "none", ["f", "g"]],
    [{ type: "tool", name: "g" }, "required", ["g"]],
  ])("%j", (choice, chosen, offered) => {
    const body = choose(choice);
    expect([body["tool_choice"], named(body), body["parallel_tool_calls"]]).toEqual([chosen, offered, undefined]);
  });

  test("one at a time where that is asked for", () => {
    expect(choose({ type: "any", disable_parallel_tool_use: true })).toMatchObject({ parallel_tool_calls: false });
    expect(choose({ type: "any", disable_parallel_tool_use: false })["parallel_tool_calls"]).toBe(undefined);
  });
});

describe("thinking", () => {
  test.each([
    [
      { type: "enabled", budget_tokens: 2_000 },
      { chat_template_kwargs: { enable_thinking: true }, reasoning_budget_tokens: 2_000 },
    ],
    [{ type: "adaptive" }, { chat_template_kwargs: { enable_thinking: true } }],
    [{ type: "disabled" }, { chat_template_kwargs: { enable_thinking: false } }],
  ])("%j", (thinking, fields) => {
    const { messages: _, max_tokens: __, ...body } = engineBody({ thinking });
    expect(body).toEqual(fields);
  });

  test("as hard as asked for", () => {
    expect(engineBody({ output_config: { effort: "low" } })).toMatchObject({ reasoning_effort: "low" });
    expect(engineBody({ output_config: { effort: "max" } })).toMatchObject({ reasoning_effort: "high" });
  });
});

test("a schema for the answer is a chat's", () => {
  const schema = { type: "object" };
  const format = { type: "json_schema", schema };
  const asked = { response_format: { type: "json_schema", json_schema: { schema } } };
  expect(engineBody({ output_config: { format } })).toMatchObject(asked);
  expect(engineBody({ output_format: format })).toMatchObject(asked);
});

test("strings to stop at make the engine tell at which it did, and only these", () => {
  expect(engineBody({ stop_sequences: ["\n", ""] })).toMatchObject({
    stop: ["\n"],
    verbose: true,
    response_fields: ["stopping_word"],
  });
  for (const body of [engineBody({}), engineBody({ stop_sequences: [] })]) {
    expect(Object.keys(body)).not.toContain("verbose");
    expect(Object.keys(body)).not.toContain("stop");
  }
});

describe("what cannot be done is refused by name", () => {
  const block = (content: unknown): JsonObject => ({ messages: [{ role: "user", content: [content] }] });
  test.each<readonly [string, JsonObject, string]>([
    ["no messages", { messages: undefined }, "messages"],
    ["an empty conversation", { messages: [] }, "messages"],
    ["another role", { messages: [{ role: "robot", content: "x" }] }, "messages[0].role"],
    ["no content", { messages: [{ role: "user" }] }, "messages[0].content"],
    ["a document", block({ type: "document", source: {} }), "messages[0].content[0].type"],
    ["a search result", block({ type: "search_result" }), "messages[0].content[0].type"],
    [
      "an image elsewhere",
      block({ type: "image", source: { type: "url", url: "http://x" } }),
      "messages[0].content[0].source.type",
    ],
    [
      "an image of no kind",
      block({ type: "image", source: { type: "base64", media_type: "image/bmp", data: "" } }),
      "messages[0].content[0].source.media_type",
    ],
    [
      "no base64",
      block({ type: "image", source: { type: "base64", media_type: "image/png", data: "%" } }),
      "messages[0].content[0].source.data",
    ],
    [
      "a document in a result",
      block({ type: "tool_result", tool_use_id: "a", content: [{ type: "document" }] }),
      "messages[0].content[0].content[0].type",
    ],
    ["a server's tool", { tools: [{ type: "web_search_20250305", name: "web_search" }] }, "tools[0].type"],
    ["a tool without a schema", { tools: [{ name: "f" }] }, "tools[0].input_schema"],
    ["a tool without a name", { tools: [{ input_schema: {} }] }, "tools[0].name"],
    ["a choice without tools", { tool_choice: { type: "any" } }, "tool_choice"],
    ["a choice of no tool", { tools: [TOOL], tool_choice: { type: "tool", name: "g" } }, "tool_choice"],
    ["other servers", { mcp_servers: [{ url: "http://x" }] }, "mcp_servers"],
    ["a container", { container: "c" }, "container"],
    [
      "a prompt made shorter",
      { context_management: { edits: [{ type: "clear_tool_uses_20250919" }] } },
      "context_management.edits[0]",
    ],
    ["thinking of another kind", { thinking: { type: "deep" } }, "thinking.type"],
    ["another format", { output_config: { format: { type: "xml" } } }, "output_config.format.type"],
    ["a limit that is none", { max_tokens: -5 }, "max_tokens"],
    ["stop strings without end", { stop_sequences: Array.from({ length: 17 }, () => "x") }, "stop_sequences"],
    ["one stop string", { stop_sequences: "x" }, "stop_sequences"],
  ])("%s", (_, body, param) => {
    const refused = refusal(body);
    expect(refused.param).toBe(param);
    expect(refused.message).toContain(`\`${param}\``);
  });

  test("what wishes for nothing is no wish", () => {
    const edits = [{ type: "clear_thinking_20251015", keep: "all" }];
    expect(
      engineBody({ mcp_servers: [], container: null, context_management: { edits }, tools: [], stop_sequences: [] }),
    ).toEqual(engineBody({}));
  });
});
