import type Anthropic from "@anthropic-ai/sdk";
import { describe, expect, inject, test } from "vitest";
import { ANTHROPIC } from "./harness/generations.ts";
import { CAPITAL, DAY, LONG_QUESTION, MODEL, TOO_LONG, WEATHER_SCHEMA } from "./harness/questions.ts";
import { expectFreed } from "./harness/watch.ts";

const ask = (content: string) => ({
  model: MODEL,
  temperature: 0,
  max_tokens: 200,
  messages: [{ role: "user" as const, content }],
});
const TOOL = {
  name: "weather",
  description: "The weather of some days",
  input_schema: { ...WEATHER_SCHEMA },
} as unknown as Anthropic.Tool;
/** What was read, and what was known from before. */
const inputOf = ({ usage }: Anthropic.Message): number => usage.input_tokens + (usage.cache_read_input_tokens ?? 0);

describe.each(ANTHROPIC)("%s", (_, Client) => {
  const client = new Client({ baseURL: inject("url"), apiKey: "none", maxRetries: 0 });

  test("gets messages", async () => {
    const { data, response } = await client.messages.create(ask(CAPITAL.question)).withResponse();
    expect(data).toMatchObject({ type: "message", role: "assistant", model: MODEL, stop_reason: "end_turn" });
    expect(data.content).toEqual([expect.objectContaining({ type: "text", text: CAPITAL.answer })]);
    expect([inputOf(data), data.usage.output_tokens]).toEqual([17, 12]);
    expect(response.headers.get("x-clusterd-model")).toBe(MODEL);
  });

  test("holds a conversation with a system prompt", async () => {
    const answer = await client.messages.create({
      ...ask(""),
      system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
      messages: [
        { role: "user", content: [{ type: "text", text: CAPITAL.question }] },
        { role: "assistant", content: CAPITAL.answer },
        { role: "user", content: DAY.question },
      ],
    });
    expect(answer.content).toMatchObject([{ type: "text", text: expect.any(String) }]);
  });

  test("stops where it is told to", async () => {
    const stopped = await client.messages.create({ ...ask(CAPITAL.question), stop_sequences: [" is"] });
    expect(stopped).toMatchObject({
      stop_reason: "stop_sequence",
      stop_sequence: " is",
      content: [{ text: "The capital of France" }],
    });
    expect((await client.messages.create({ ...ask(LONG_QUESTION), max_tokens: 5 })).stop_reason).toBe("max_tokens");
  });

  test("gets every event of a stream, in order", async () => {
    const events = await Array.fromAsync(await client.messages.create({ ...ask(CAPITAL.question), stream: true }));
    const kinds = events.map(({ type }) => type).filter((type, at, all) => type !== all[at - 1]);
    expect(kinds).toEqual([
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
  });

  test("streams through the helper", async () => {
    const stream = client.messages.stream(ask(CAPITAL.question));
    let text = "";
    stream.on("text", (delta) => (text += delta));
    const message = await stream.finalMessage();
    expect(text).toBe(CAPITAL.answer);
    expect(await stream.finalText()).toBe(CAPITAL.answer);
    expect([message.stop_reason, inputOf(message), message.usage.output_tokens]).toEqual(["end_turn", 17, 12]);
  });

  test("calls tools, whole and streamed, and hands back what they gave", async () => {
    const body = { ...ask("How is Paris?"), tools: [TOOL], tool_choice: { type: "any" as const } };
    const whole = await client.messages.create(body);
    const streamed = await client.messages.stream(body).finalMessage();
    for (const message of [whole, streamed]) {
      expect(message.stop_reason).toBe("tool_use");
      const call = message.content.find((block) => block.type === "tool_use");
      expect(call).toMatchObject({ name: "weather", id: expect.any(String) });
      expect(call?.input).toEqual({ city: expect.stringMatching(/^(Paris|Oslo)$/), days: expect.any(Number) });
    }
    const call = whole.content.find((block) => block.type === "tool_use");
    const after = await client.messages.create({
      ...body,
      max_tokens: 20,
      tool_choice: { type: "none" },
      messages: [
        ...body.messages,
        { role: "assistant", content: whole.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: call?.id ?? "", content: "sunny" }] },
      ],
    });
    expect(after.role).toBe("assistant");
  });

  test("gets an answer of a schema", async () => {
    const format = { type: "json_schema" as const, schema: { ...WEATHER_SCHEMA } };
    const { content } = await client.messages.create({ ...ask("How is Paris?"), output_config: { format } });
    const [block] = content;
    expect(JSON.parse(block?.type === "text" ? block.text : "")).toEqual({ city: expect.any(String), days: expect.any(Number) });
  });

  test("counts tokens as they are counted afterwards", async () => {
    const { max_tokens: _limit, temperature: _heat, ...body } = ask(CAPITAL.question);
    expect(await client.messages.countTokens(body)).toMatchObject({ input_tokens: 17 });
  });

  test("lists and finds models", async () => {
    const listed = await Array.fromAsync(client.models.list());
    expect(listed).toContainEqual(expect.objectContaining({ type: "model", id: MODEL }));
    expect(await client.models.retrieve(MODEL)).toMatchObject({ type: "model", id: MODEL });
  });

  test.each([
    ["an unknown model", "NotFoundError", { model: "none" }, 404, "not_found_error"],
    ["a prompt too long", "BadRequestError", ask(TOO_LONG), 400, "invalid_request_error"],
    ["a bad parameter", "BadRequestError", { top_p: 7 }, 400, "invalid_request_error"],
  ] as const)("knows %s as %s, streamed or not", async (_, error, more, status, type) => {
    for (const stream of [false, true]) {
      const body = { ...ask("x"), ...more, stream } as unknown as ReturnType<typeof ask>;
      const failed: unknown = await client.messages.create(body).catch((reason: unknown) => reason);
      expect(failed).toBeInstanceOf(Client[error]);
      expect(failed).toMatchObject({ status, error: { type: "error", error: { type, message: expect.any(String) } } });
      expect((failed as InstanceType<typeof Anthropic.APIError>).requestID).toEqual(expect.any(String));
    }
  });

  test("frees what it leaves", async () => {
    await expectFreed(async () => {
      const stream = client.messages.stream(ask(LONG_QUESTION));
      stream.on("text", () => stream.abort());
      await expect(stream.finalMessage()).rejects.toBeInstanceOf(Client.APIUserAbortError);
    });
    await expectFreed(async () => {
      const call = client.messages.create(ask(LONG_QUESTION), { signal: AbortSignal.timeout(300) });
      await expect(call).rejects.toBeInstanceOf(Client.APIUserAbortError);
    });
    await expectFreed(async () => {
      const call = client.messages.create(ask(LONG_QUESTION), { timeout: 300 });
      await expect(call).rejects.toBeInstanceOf(Client.APIConnectionTimeoutError);
    });
  });
});
