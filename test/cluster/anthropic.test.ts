import Anthropic, { BadRequestError, NotFoundError } from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEMO_CONTEXT as CONTEXT, DEMO_MODEL as MODEL, startDemoGateway, type DemoGateway } from "./demo-gateway.ts";

let gateway: DemoGateway;
let client: Anthropic;

beforeAll(async () => {
  gateway = await startDemoGateway({ apiKey: "sesame" });
  client = new Anthropic({ baseURL: gateway.url, apiKey: "sesame", maxRetries: 0 });
});

afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
});

const ask = (
  content: string,
): { model: string; max_tokens: number; temperature: number; messages: Anthropic.MessageParam[] } => ({
  model: MODEL,
  max_tokens: 64,
  temperature: 0,
  messages: [{ role: "user", content }],
});

const textOf = ({ content }: Anthropic.Message): string =>
  content.map((block) => (block.type === "text" ? block.text : "")).join("");

describe("the official client", () => {
  test("gets the right answers, whole and streamed alike", async () => {
    for (const { prompt, expect: right } of gateway.questions.slice(0, 10)) {
      const whole = await client.messages.create(ask(prompt));
      const streamed = await client.messages.stream(ask(prompt)).finalMessage();
      expect([textOf(whole), textOf(streamed)]).toEqual([right, right]);
      expect([whole.stop_reason, streamed.stop_reason]).toEqual(["end_turn", "end_turn"]);
      expect([whole.model, streamed.model]).toEqual([MODEL, MODEL]);
      expect(whole.usage.output_tokens).toBe(streamed.usage.output_tokens);
      const tokens = [whole, streamed].map(({ usage }) => usage.input_tokens + (usage.cache_read_input_tokens ?? 0));
      expect(tokens[0]).toBe(tokens[1]);
      const counted = await client.messages.countTokens({ model: MODEL, messages: ask(prompt).messages });
      expect(counted.input_tokens).toBe(tokens[0]);
    }
  });

  test("learns of the prompt's tokens with the first event", async () => {
    const stream = await client.messages.create({ ...ask("What is the capital of France?"), stream: true });
    const events: Anthropic.RawMessageStreamEvent[] = [];
    for await (const event of stream) events.push(event);
    const [first] = events;
    if (first?.type !== "message_start") throw new Error("no message_start");
    expect(first.message.usage.input_tokens + (first.message.usage.cache_read_input_tokens ?? 0)).toBeGreaterThan(0);
    expect(events.map(({ type }) => type).filter((type) => type !== "content_block_delta")).toEqual([
      "message_start",
      "content_block_start",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
  });

  test.each([false, true])("is told why an answer ended (stream: %s)", async (streaming) => {
    const answer = async (body: Partial<Anthropic.MessageCreateParamsNonStreaming>): Promise<Anthropic.Message> => {
      const request = { ...ask("What is the capital of France?"), ...body };
      return streaming ? client.messages.stream(request).finalMessage() : client.messages.create(request);
    };
    const plain = textOf(await answer({}));
    const stop = plain.slice(2, 4);
    const stopped = await answer({ stop_sequences: ["nowhere", stop] });
    expect([stopped.stop_reason, stopped.stop_sequence, textOf(stopped)]).toEqual(["stop_sequence", stop, plain.slice(0, 2)]);
    const unstopped = await answer({ stop_sequences: ["nowhere"] });
    expect([unstopped.stop_reason, unstopped.stop_sequence, textOf(unstopped)]).toEqual(["end_turn", null, plain]);
    expect((await answer({ max_tokens: 1 })).stop_reason).toBe("max_tokens");
  });

  test.each([false, true])("gets a call of the tool it chose, and hands in its result (stream: %s)", async (streaming) => {
    const tools = ["get_weather", "get_time"].map((name) => ({
      name,
      input_schema: { type: "object" as const, properties: { city: { type: "string" } }, required: ["city"] },
    }));
    const request = {
      ...ask("What is the weather in Paris?"),
      tools,
      tool_choice: { type: "tool" as const, name: "get_weather", disable_parallel_tool_use: true },
    };
    const answer = await (streaming ? client.messages.stream(request).finalMessage() : client.messages.create(request));
    expect(answer.stop_reason).toBe("tool_use");
    const call = answer.content.find((block) => block.type === "tool_use");
    expect(call).toMatchObject({ name: "get_weather", input: { city: expect.stringContaining("Paris") as string } });
    const messages: Anthropic.MessageParam[] = [
      ...request.messages,
      { role: "assistant", content: answer.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: call?.id ?? "", content: "sunny" }] },
    ];
    const next = await client.messages.create({ ...request, tool_choice: { type: "none" }, max_tokens: 4, messages });
    expect(next.role).toBe("assistant");
  });

  test.each([false, true])("has an answer that it began itself gone on with (stream: %s)", async (streaming) => {
    const request = ask("What is the capital of France?");
    const messages = [...request.messages, { role: "assistant" as const, content: "The capital of France" }];
    const answer = streaming
      ? await client.messages.stream({ ...request, messages }).finalMessage()
      : await client.messages.create({ ...request, messages });
    expect(textOf(answer)).toBe(" is Paris.");
  });

  test("gets an answer in the shape of a schema", async () => {
    const schema = { type: "object", properties: { city: { enum: ["Paris"] } }, required: ["city"], additionalProperties: false };
    const answer = await client.messages.create({ ...ask("Where?"), output_config: { format: { type: "json_schema", schema } } });
    expect(JSON.parse(textOf(answer))).toEqual({ city: "Paris" });
  });

  test("frees the slot of a stream that it aborts", async () => {
    const stream = client.messages.stream({ ...ask("Tell me a story."), temperature: 1, max_tokens: 900 });
    stream.on("error", () => {});
    for await (const event of stream) {
      if (event.type === "message_start") break;
    }
    stream.abort();
    await expect.poll(gateway.busySlots).toBe(0);
    expect(textOf(await client.messages.create(ask("What is the capital of France?")))).toContain("Paris");
  });

  test("knows our errors for what they are", async () => {
    await expect(client.messages.create({ ...ask("x"), model: "none" })).rejects.toBeInstanceOf(NotFoundError);
    const long = client.messages.create(ask("hello there friend ".repeat(1_000)));
    await expect(long).rejects.toBeInstanceOf(BadRequestError);
    await expect(long).rejects.toMatchObject({
      type: "invalid_request_error",
      errorCode: "context_length_exceeded",
      requestID: expect.any(String) as string,
      apiMessage: expect.stringMatching(new RegExp(`^prompt is too long: \\d{4,} tokens > ${CONTEXT} maximum`)) as string,
    });
    const stranger = new Anthropic({ baseURL: gateway.url, apiKey: "wrong", maxRetries: 0 });
    await expect(stranger.messages.create(ask("x"))).rejects.toMatchObject({ status: 401, type: "authentication_error" });
    const image = { type: "image" as const, source: { type: "base64" as const, media_type: "image/png" as const, data: "AAAA" } };
    const blind = client.messages.create({ ...ask(""), messages: [{ role: "user", content: [image] }] });
    await expect(blind).rejects.toMatchObject({ status: 501, type: "invalid_request_error", errorCode: "unsupported" });
  });

  test("lists and fetches the model", async () => {
    const listed: string[] = [];
    for await (const { id } of client.models.list()) listed.push(id);
    expect(listed).toEqual([MODEL]);
    expect(await client.models.retrieve(MODEL)).toMatchObject({ id: MODEL, type: "model", max_input_tokens: CONTEXT });
  });
});
