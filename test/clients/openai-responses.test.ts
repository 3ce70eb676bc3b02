import type { OpenAI } from "openai";
import { describe, expect, inject, test } from "vitest";
import { OPENAI } from "./harness/generations.ts";
import { CAPITAL, DAY, LONG_QUESTION, MODEL, TOO_LONG, WEATHER_SCHEMA } from "./harness/questions.ts";
import { expectFreed } from "./harness/watch.ts";

const ask = (input: string) => ({ model: MODEL, temperature: 0, input });
const TOOL = { type: "function", name: "weather", description: "The weather", parameters: WEATHER_SCHEMA, strict: true } as const;

describe.each(OPENAI)("responses of %s", (_, sdk) => {
  const client = new sdk.OpenAI({ baseURL: `${inject("url")}/v1`, apiKey: "none", maxRetries: 0 });

  test("come whole", async () => {
    const response = await client.responses.create({ ...ask(CAPITAL.question), store: false });
    expect(response).toMatchObject({ object: "response", status: "completed", model: MODEL, output_text: CAPITAL.answer });
    expect(response.output).toMatchObject([{ type: "message", role: "assistant", content: [{ type: "output_text" }] }]);
    expect(response.usage).toMatchObject({ input_tokens: 17, output_tokens: 12, total_tokens: 29 });
  });

  test("go on with what was said", async () => {
    const first = await client.responses.create(ask(CAPITAL.question));
    const input = [
      { role: "user" as const, content: CAPITAL.question },
      ...first.output,
      { role: "user" as const, content: [{ type: "input_text" as const, text: DAY.question }] },
    ] as OpenAI.Responses.ResponseInput;
    const { output_text: text } = await client.responses.create({ ...ask(""), input });
    expect(text).toBe(DAY.answer);
  });

  test("stream as typed events, in order", async () => {
    const events = await Array.fromAsync(await client.responses.create({ ...ask(CAPITAL.question), stream: true }));
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, at) => at));
    const kinds = events.map(({ type }) => type).filter((type, at, all) => type !== all[at - 1]);
    expect(kinds).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    const deltas = events.flatMap((event) => (event.type === "response.output_text.delta" ? [event.delta] : []));
    expect(deltas.join("")).toBe(CAPITAL.answer);
  });

  test("stream through the helper", async () => {
    const stream = client.responses.stream(ask(DAY.question));
    const done = await stream.finalResponse();
    expect(done.output).toMatchObject([{ type: "message", content: [{ type: "output_text", text: DAY.answer }] }]);
  });

  test("call tools, whole and streamed, and take their results", async () => {
    const body = { ...ask("How is Paris?"), tools: [TOOL], tool_choice: "required" as const };
    const whole = await client.responses.create(body);
    const streamed = await client.responses.stream(body).finalResponse();
    for (const { output } of [whole, streamed]) {
      const call = (output as OpenAI.Responses.ResponseOutputItem[]).find((item) => item.type === "function_call");
      expect(call).toMatchObject({ name: "weather", call_id: expect.any(String) });
      expect(JSON.parse(call?.arguments ?? "")).toEqual({ city: expect.any(String), days: expect.any(Number) });
    }
    const call = whole.output.find((item) => item.type === "function_call");
    const result = { type: "function_call_output" as const, call_id: call?.call_id ?? "", output: "sunny" };
    const input = [{ role: "user", content: "How is Paris?" }, ...whole.output, result] as OpenAI.Responses.ResponseInput;
    const after = await client.responses.create({ ...body, input, tool_choice: "none", max_output_tokens: 20 });
    expect(after.output_text).toEqual(expect.any(String));
  });

  test("are parsed by a schema", async () => {
    const shape = sdk.z.object({ city: sdk.z.enum(["Paris", "Oslo"]), sunny: sdk.z.boolean() });
    const parsed = await client.responses.parse({ ...ask("x"), text: { format: sdk.zodTextFormat(shape, "weather") } });
    expect(shape.safeParse(parsed.output_parsed).success).toBe(true);
  });

  test("tell when they were cut", async () => {
    const cut = await client.responses.create({ ...ask(LONG_QUESTION), max_output_tokens: 5 });
    expect(cut).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
  });

  test.each([
    ["an unknown model", "NotFoundError", { model: "none" }, { status: 404, code: "model_not_found" }],
    [
      "a prompt too long",
      "BadRequestError",
      { input: TOO_LONG },
      { status: 400, code: "context_length_exceeded", param: "input" },
    ],
    [
      "what would need a memory",
      "BadRequestError",
      { previous_response_id: "resp_1" },
      { status: 400, param: "previous_response_id" },
    ],
  ] as const)("are refused for %s as %s, streamed or not", async (_, error, more, facts) => {
    for (const stream of [false, true]) {
      const body = { ...ask("x"), ...more, stream } as unknown as ReturnType<typeof ask>;
      const failed: unknown = await client.responses.create(body).catch((reason: unknown) => reason);
      expect(failed).toBeInstanceOf(sdk.OpenAI[error]);
      expect(failed).toMatchObject(facts);
    }
  });

  test("free what is left", async () => {
    await expectFreed(async () => {
      const stream = await client.responses.create({ ...ask(LONG_QUESTION), stream: true });
      for await (const { type } of stream) if (type === "response.output_text.delta") break;
    });
  });
});
