import { describe, expect, inject, test } from "vitest";
import { OPENAI } from "./harness/generations.ts";
import { EMBEDDING_MODEL, EMBEDDING_WIDTH } from "./harness/models.ts";
import { CAPITAL, DAY, LONG_QUESTION, MODEL, TOO_LONG, WEATHER_SCHEMA } from "./harness/questions.ts";
import { expectFreed } from "./harness/watch.ts";

const ask = (content: string) => ({ model: MODEL, temperature: 0, messages: [{ role: "user" as const, content }] });
const TOOL = {
  type: "function",
  function: { name: "weather", description: "The weather of some days", parameters: WEATHER_SCHEMA, strict: true },
} as const;

describe.each(OPENAI)("%s", (_, sdk) => {
  const client = new sdk.OpenAI({ baseURL: `${inject("url")}/v1`, apiKey: "none", maxRetries: 0 });
  /** Helpers that were in beta once. */
  const helped = (client.beta as unknown as { chat?: typeof client.chat }).chat?.completions ?? client.chat.completions;

  test("chats", async () => {
    const { data, response } = await client.chat.completions.create(ask(CAPITAL.question)).withResponse();
    expect(data.choices).toMatchObject([{ index: 0, message: { content: CAPITAL.answer }, finish_reason: "stop" }]);
    expect(data).toMatchObject({ object: "chat.completion", model: MODEL, usage: { prompt_tokens: 17, completion_tokens: 12 } });
    expect(response.headers.get("x-clusterd-model")).toBe(MODEL);
  });

  test("gives several choices, with logprobs", async () => {
    const { choices, usage } = await client.chat.completions.create({
      ...ask(CAPITAL.question),
      n: 3,
      logprobs: true,
      top_logprobs: 2,
      seed: 1,
    });
    expect(choices.map(({ message }) => message.content)).toEqual(Array.from({ length: 3 }, () => CAPITAL.answer));
    for (const { logprobs } of choices) {
      const parts = logprobs?.content ?? [];
      expect(parts.map(({ token }) => token).join("")).toContain("Paris");
      for (const { top_logprobs: top } of parts) expect(top).toHaveLength(2);
    }
    expect(usage?.prompt_tokens).toBe(17);
  });

  test("streams chunks, the last of which counts", async () => {
    const stream = await client.chat.completions.create({
      ...ask(CAPITAL.question),
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await Array.fromAsync(stream);
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(CAPITAL.answer);
    expect(chunks[0]?.choices[0]?.delta.role).toBe("assistant");
    expect(chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? [])).toEqual(["stop"]);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 17, completion_tokens: 12 } });
  });

  test("streams through the helper", async () => {
    const stream = helped.stream(ask(DAY.question));
    let text = "";
    stream.on("content", (delta) => (text += delta));
    const done = await stream.finalChatCompletion();
    expect(text).toBe(DAY.answer);
    expect(done.choices[0]?.message.content).toBe(DAY.answer);
    expect(await stream.finalContent()).toBe(DAY.answer);
  });

  test("calls a tool that it must, whole and streamed", async () => {
    const body = { ...ask("How is Paris?"), tools: [TOOL], tool_choice: "required" as const };
    const whole = await client.chat.completions.create(body);
    const [call] = whole.choices[0]?.message.tool_calls ?? [];
    expect(whole.choices[0]?.finish_reason).toBe("tool_calls");
    expect(call).toMatchObject({ type: "function", id: expect.any(String), function: { name: "weather" } });
    const stream = helped.stream(body);
    const [streamed] = (await stream.finalMessage()).tool_calls ?? [];
    for (const each of [call, streamed]) {
      const { name, arguments: given } = (each as typeof call & { type: "function" }).function;
      expect(name).toBe("weather");
      expect(JSON.parse(given)).toEqual({ city: expect.stringMatching(/^(Paris|Oslo)$/), days: expect.any(Number) });
    }
  });

  test("answers after a tool's result", async () => {
    const call = {
      id: "call_1",
      type: "function" as const,
      function: { name: "weather", arguments: '{"city":"Paris","days":1}' },
    };
    const answer = await client.chat.completions.create({
      model: MODEL,
      temperature: 0,
      max_tokens: 20,
      messages: [
        { role: "user", content: "How is Paris?" },
        { role: "assistant", content: null, tool_calls: [call] },
        { role: "tool", tool_call_id: "call_1", content: "sunny" },
        { role: "user", content: CAPITAL.question },
      ],
      tools: [TOOL],
      tool_choice: "none",
    });
    expect(answer.choices[0]?.message.content).toEqual(expect.any(String));
  });

  test("runs tools by itself", async () => {
    const asked: unknown[] = [];
    const runner = helped.runTools({
      ...ask("How is Paris?"),
      tool_choice: { type: "function", function: { name: "weather" } },
      tools: [
        {
          type: "function",
          function: {
            ...TOOL.function,
            parse: (text: string) => JSON.parse(text) as unknown,
            function: (given: unknown) => {
              asked.push(given);
              return "sunny";
            },
          },
        },
      ],
    } as unknown as Parameters<typeof helped.runTools>[0]);
    await runner.done();
    expect(asked).toEqual([{ city: expect.any(String), days: expect.any(Number) }]);
    expect(runner.messages.at(-1)).toMatchObject({ role: "tool", content: "sunny" });
  });

  test("parses answers of a schema", async () => {
    const shape = sdk.z.object({ city: sdk.z.enum(["Paris", "Oslo"]), sunny: sdk.z.boolean() });
    const parsed = await helped.parse({ ...ask("How is Paris?"), response_format: sdk.zodResponseFormat(shape, "weather") });
    expect(parsed.choices[0]?.message.parsed).toEqual({
      city: expect.stringMatching(/^(Paris|Oslo)$/),
      sunny: expect.any(Boolean),
    });
  });

  test("completes texts, whole and streamed", async () => {
    const body = { model: MODEL, prompt: ["The capital of France", "The capital of"], temperature: 0, max_tokens: 4 };
    const whole = await client.completions.create(body);
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1]);
    const stream = await client.completions.create({ ...body, stream: true });
    const texts = ["", ""];
    for await (const { choices } of stream) for (const { index, text } of choices) texts[index] += text;
    expect(texts).toEqual(whole.choices.map(({ text }) => text));
    expect(whole.usage).toMatchObject({ prompt_tokens: expect.any(Number), completion_tokens: expect.any(Number) });
  });

  test("embeds, in base64 as it asks by itself and in floats", async () => {
    const input = ["one", "two", "one"];
    const packed = await client.embeddings.create({ model: EMBEDDING_MODEL, input });
    const floats = await client.embeddings.create({ model: EMBEDDING_MODEL, input, encoding_format: "float" });
    expect(packed.data.map(({ index }) => index)).toEqual([0, 1, 2]);
    for (const [at, { embedding }] of packed.data.entries()) {
      expect(embedding).toHaveLength(EMBEDDING_WIDTH);
      floats.data[at]?.embedding.forEach((value, place) => expect(embedding[place]).toBeCloseTo(value, 5));
    }
    expect(packed.data[0]?.embedding).toEqual(packed.data[2]?.embedding);
    expect(packed.data[0]?.embedding).not.toEqual(packed.data[1]?.embedding);
  });

  test("lists and finds models", async () => {
    const listed = await Array.fromAsync(client.models.list());
    expect(listed.map(({ id }) => id)).toEqual(expect.arrayContaining([MODEL, EMBEDDING_MODEL]));
    expect(await client.models.retrieve(MODEL)).toMatchObject({ id: MODEL, object: "model" });
    await expect(client.models.retrieve("none")).rejects.toBeInstanceOf(sdk.OpenAI.NotFoundError);
  });

  test.each([
    ["an unknown model", "NotFoundError", { model: "none" }, { status: 404, code: "model_not_found" }],
    ["a prompt too long", "BadRequestError", ask(TOO_LONG), { status: 400, code: "context_length_exceeded", param: "messages" }],
    ["a bad parameter", "BadRequestError", { temperature: "hot" }, { status: 400, param: "temperature" }],
    ["too many choices", "BadRequestError", { n: 99 }, { status: 400, param: "n" }],
  ] as const)("knows %s as %s, streamed or not", async (_, error, more, facts) => {
    for (const stream of [false, true]) {
      const body = { ...ask("x"), ...more, stream } as unknown as ReturnType<typeof ask>;
      const failed: unknown = await client.chat.completions.create(body).catch((reason: unknown) => reason);
      expect(failed).toBeInstanceOf(sdk.OpenAI[error]);
      expect(failed).toMatchObject({ ...facts, type: expect.any(String), message: expect.stringMatching(/\w+ .*\w/) });
    }
  });

  test("is told what a model cannot do", async () => {
    const failed = client.embeddings.create({ model: MODEL, input: "x" });
    await expect(failed).rejects.toMatchObject({ status: 501, code: "unsupported" });
  });

  test("frees what it leaves: a stream, a whole answer, one that takes too long", async () => {
    await expectFreed(async () => {
      const stream = await client.chat.completions.create({ ...ask(LONG_QUESTION), stream: true });
      for await (const { choices } of stream) if (choices[0]?.delta.content) break;
    });
    await expectFreed(async () => {
      const abort = new AbortController();
      const call = client.chat.completions.create(ask(LONG_QUESTION), { signal: abort.signal });
      setTimeout(() => abort.abort(), 300);
      await expect(call).rejects.toBeInstanceOf(sdk.OpenAI.APIUserAbortError);
    });
    await expectFreed(async () => {
      const call = client.chat.completions.create(ask(LONG_QUESTION), { timeout: 300 });
      await expect(call).rejects.toBeInstanceOf(sdk.OpenAI.APIConnectionTimeoutError);
    });
    const answer = await client.chat.completions.create(ask(CAPITAL.question));
    expect(answer.choices[0]?.message.content).toBe(CAPITAL.answer);
  });
});
