import { fc, test as property } from "@fast-check/vitest";
import { ClusterdError } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "./json-body.ts";
import { responsesRequest } from "./request/responses-request.ts";
import { gatewayFor, post } from "./testing/client.ts";
import { fakeBackend } from "./testing/fake-backend.ts";

const sent = (body: JsonObject): JsonObject => responsesRequest({ model: "m", input: "hi", ...body }).jobs[0]?.body ?? {};
const messagesOf = (input: unknown, more: JsonObject = {}): unknown => sent({ input, ...more })["messages"];
const FUNCTION = { type: "function", name: "look", description: "looks", parameters: { type: "object" }, strict: true };

describe("a request for a response becomes a chat", () => {
  test("instructions first, then the items; what the assistant did in one turn is one message", () => {
    const reasoning = { type: "reasoning", id: "rs_1", summary: [], content: [{ type: "reasoning_text", text: "hm" }] };
    const said = { type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text: "wait" }] };
    const call = (id: string) => ({ type: "function_call", id: `fc_${id}`, call_id: id, name: "look", arguments: "{}" });
    const input = [
      { role: "user", content: "a" },
      ...[reasoning, said, call("1"), call("2")],
      { type: "function_call_output", call_id: "1", output: "one" },
      { type: "function_call_output", call_id: "2", output: [{ type: "input_text", text: "two" }] },
      { role: "assistant", content: "b" },
      { role: "assistant", content: [{ type: "refusal", refusal: "no" }] },
      { role: "developer", content: [{ type: "input_image", image_url: "data:image/png;base64,AA==", detail: "auto" }] },
    ];
    const toolCall = (id: string) => ({ id, type: "function", function: { name: "look", arguments: "{}" } });
    expect(messagesOf(input, { instructions: "be brief" })).toEqual([
      { role: "system", content: "be brief" },
      { role: "user", content: "a" },
      {
        role: "assistant",
        reasoning_content: "hm",
        content: [{ type: "text", text: "wait" }],
        tool_calls: [toolCall("1"), toolCall("2")],
      },
      { role: "tool", tool_call_id: "1", content: "one" },
      { role: "tool", tool_call_id: "2", content: [{ type: "text", text: "two" }] },
      { role: "assistant", content: "b" },
      { role: "assistant", content: [{ type: "text", text: "no" }] },
      { role: "developer", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AA==" } }] },
    ]);
  });

  test("reasoning that nothing followed, or that is only encrypted, is left out", () => {
    const encrypted = { type: "reasoning", id: "r", summary: [], encrypted_content: "x" };
    expect(messagesOf([{ role: "user", content: "a" }, encrypted])).toEqual([{ role: "user", content: "a" }]);
  });

  test("wishes by the names that chats have for them", () => {
    const schema = { type: "object", properties: {} };
    expect(
      sent({
        max_output_tokens: 5,
        text: { format: { type: "json_schema", name: "n", schema, strict: true }, verbosity: "medium" },
        reasoning: { effort: "low", summary: "auto" },
        tools: [FUNCTION, { ...FUNCTION, name: "other" }],
        tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "look" }] },
        parallel_tool_calls: false,
        include: ["reasoning.encrypted_content"],
        store: false,
        metadata: { a: "b" },
      }),
    ).toEqual({
      messages: [{ role: "user", content: "hi" }],
      max_tokens: 5,
      response_format: { type: "json_schema", json_schema: { schema } },
      reasoning_effort: "low",
      tools: [{ type: "function", function: { name: "look", description: "looks", parameters: { type: "object" } } }],
      tool_choice: "auto",
      parallel_tool_calls: false,
    });
  });

  test.each<[JsonObject, string]>([
    [{ input: null }, "input"],
    [{ input: [] }, "input"],
    [{ input: [{ role: "tool", content: "x" }] }, "input[0].role"],
    [{ input: [{ type: "item_reference", id: "x" }] }, "input[0]"],
    [{ input: [{ type: "web_search_call" }] }, "input[0].type"],
    [{ input: [{ role: "user", content: [{ type: "input_file", file_id: "f" }] }] }, "input[0].content[0].type"],
    [{ input: [{ role: "user", content: [{ type: "input_image", file_id: "f" }] }] }, "input[0].content[0].image_url"],
    [
      { input: [{ role: "user", content: [{ type: "input_image", image_url: "http://169.254.169.254/" }] }] },
      "input[0].content[0].image_url",
    ],
    [{ input: [{ type: "function_call", call_id: "c", name: "f" }] }, "input[0].arguments"],
    [{ tools: [{ type: "mcp" }] }, "tools[0].type"],
    [{ tools: [{ type: "function", name: "bad name" }] }, "tools[0].name"],
    [{ tools: [FUNCTION], tool_choice: { type: "function", name: "other" } }, "tool_choice"],
    [{ tools: [FUNCTION], tool_choice: { type: "allowed_tools", mode: "some", tools: [] } }, "tool_choice.mode"],
    [{ include: ["file_search_call.results"] }, "include[0]"],
    [{ text: { verbosity: "low" } }, "text.verbosity"],
    [{ text: { format: { type: "grammar" } } }, "text.format.type"],
    [{ reasoning: { effort: "much" } }, "reasoning.effort"],
    [{ reasoning: { summary: "detailed" } }, "reasoning.summary"],
    [{ store: true }, "store"],
    [{ prompt: { id: "p" } }, "prompt"],
    [{ max_output_tokens: 0 }, "max_output_tokens"],
    [{ stream: true, tools: [FUNCTION], top_logprobs: 1 }, "logprobs"],
  ])("%j is refused, naming %s", (body, param) => {
    expect(() => sent(body)).toThrow(expect.objectContaining({ code: "invalid_request", param }));
  });
});

property.prop([fc.constantFrom("input", "tools", "tool_choice", "text", "reasoning", "include", "store"), fc.jsonValue()])(
  "whatever is sent: checked, or refused by name",
  (name, value) => {
    try {
      expect(responsesRequest({ model: "m", input: "hi", [name]: value }).jobs).toHaveLength(1);
    } catch (error) {
      expect(error).toBeInstanceOf(ClusterdError);
      expect((error as ClusterdError).code).toBe("invalid_request");
    }
  },
);

interface Event {
  readonly type: string;
  readonly sequence_number: number;
  readonly output_index?: number;
  readonly item?: { readonly type: string; readonly id: string };
  readonly item_id?: string;
  readonly response?: { readonly status: string; readonly output: readonly JsonObject[]; readonly error: JsonObject | null };
  readonly error?: JsonObject;
}

/** The events of a stream that an engine answers with these deltas. */
async function eventsOf(deltas: readonly JsonObject[], last = "data: [DONE]\n\n"): Promise<readonly Event[]> {
  const chunk = (delta: JsonObject) =>
    `data: ${JSON.stringify({ object: "chat.completion.chunk", model: "m", choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`;
  const gateway = gatewayFor(fakeBackend(() => new Response(deltas.map(chunk).join("") + last)));
  const response = await post(gateway, "/v1/responses", { model: "demo-16l-q8_0", input: "hi", stream: true });
  return (await response.text())
    .split("\n\n")
    .filter((text) => text !== "")
    .map((text) => {
      const [, name, data] = /^event: (.+)\ndata: (.+)$/.exec(text) ?? [];
      const event = JSON.parse(data ?? "{}") as Event;
      expect(event.type).toBe(name);
      return event;
    });
}

describe("the events of a response", () => {
  test("reasoning, words and calls are items of their own, each closed before the next", async () => {
    const events = await eventsOf([
      { role: "assistant", content: null },
      { reasoning_content: "h" },
      { reasoning_content: "m" },
      { content: "yes" },
      { tool_calls: [{ index: 0, id: "c1", type: "function", function: { name: "look", arguments: "" } }] },
      { tool_calls: [{ index: 0, function: { arguments: "{}" } }] },
      { tool_calls: [{ index: 1, id: "c2", type: "function", function: { name: "look", arguments: "[]" } }] },
    ]);
    expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((_, at) => at));
    const borders = events.filter(({ type }) => type.startsWith("response.output_item"));
    expect(borders.map(({ type, item, output_index: at }) => [type.split(".")[2], item?.type, at])).toEqual([
      ["added", "reasoning", 0],
      ["done", "reasoning", 0],
      ["added", "message", 1],
      ["done", "message", 1],
      ["added", "function_call", 2],
      ["done", "function_call", 2],
      ["added", "function_call", 3],
      ["done", "function_call", 3],
    ]);
    const { response } = events.at(-1) ?? {};
    expect(response?.status).toBe("completed");
    expect(response?.output).toMatchObject([
      { type: "reasoning", content: [{ text: "hm" }] },
      { type: "message", content: [{ text: "yes" }] },
      { type: "function_call", call_id: "c1", arguments: "{}" },
      { type: "function_call", call_id: "c2", arguments: "[]" },
    ]);
    expect(response?.output.map(({ id }) => id)).toEqual(borders.filter((_, at) => at % 2 === 0).map(({ item }) => item?.id));
  });

  test("what breaks is told twice: as a failed response, and as an error like every other", async () => {
    const failed = 'data: {"error":{"code":500,"message":"it broke","type":"server_error"}}\n\n';
    const events = await eventsOf([{ content: "ye" }], failed);
    expect(events.slice(-2)).toMatchObject([
      { type: "response.failed", response: { status: "failed", error: { message: expect.stringContaining("it broke") } } },
      { type: "error", error: { code: "failed", message: expect.stringContaining("it broke") } },
    ]);
    expect(events.at(-2)?.response?.output).toMatchObject([{ type: "message", status: "incomplete", content: [{ text: "ye" }] }]);
  });
});
