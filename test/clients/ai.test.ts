import { describe, expect, inject, test } from "vitest";
import { AI } from "./harness/generations.ts";
import { EMBEDDING_MODEL, EMBEDDING_WIDTH } from "./harness/models.ts";
import { CAPITAL, DAY, LONG_QUESTION, MODEL, TOO_LONG } from "./harness/questions.ts";
import { expectFreed } from "./harness/watch.ts";

describe.each(AI)("%s", (_, sdk) => {
  const { embed, embedMany, generateText, jsonSchema, Output, streamText, tool } = sdk.ai;
  const provider = sdk.createOpenAICompatible({
    name: "clusterd",
    baseURL: `${inject("url")}/v1`,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
  const asked = { model: provider(MODEL), temperature: 0, maxRetries: 0 };
  const shape = sdk.z.object({ city: sdk.z.enum(["Paris", "Oslo"]), days: sdk.z.number().int().min(1).max(9) });

  test("generates text", async () => {
    const { text, finishReason, usage, response } = await generateText({ ...asked, prompt: CAPITAL.question });
    expect({ text, finishReason }).toEqual({ text: CAPITAL.answer, finishReason: "stop" });
    expect(usage).toMatchObject({ inputTokens: 17, outputTokens: 12 });
    expect(response.modelId).toBe(MODEL);
  });

  test("streams text", async () => {
    const stream = streamText({ ...asked, system: "Be brief.", prompt: CAPITAL.question });
    const parts = await Array.fromAsync(stream.textStream);
    expect(parts.length).toBeGreaterThan(2);
    expect(parts.join("")).toBe(await stream.text);
    expect(await stream.finishReason).toBe("stop");
    expect((await stream.usage).outputTokens).toBeGreaterThan(2);
  });

  test("holds a conversation", async () => {
    const { text } = await generateText({
      ...asked,
      messages: [
        { role: "user", content: CAPITAL.question },
        { role: "assistant", content: [{ type: "text", text: CAPITAL.answer }] },
        { role: "user", content: [{ type: "text", text: DAY.question }] },
      ],
    });
    expect(text).toBe(DAY.answer);
  });

  test("calls tools, whole and streamed", async () => {
    const seen: unknown[] = [];
    const weather = tool({
      description: "The weather of some days",
      inputSchema: shape,
      execute: async (input) => {
        seen.push(input);
        return "sunny";
      },
    });
    const call = { ...asked, prompt: "How is Paris?", tools: { weather }, toolChoice: "required" as const };
    const whole = await generateText(call);
    const stream = streamText(call);
    await stream.consumeStream();
    for (const [made] of [whole.toolResults, await stream.toolResults])
      expect(made).toMatchObject({ toolName: "weather", output: "sunny" });
    expect(await stream.finishReason).toBe("tool-calls");
    expect(seen).toHaveLength(2);
    for (const input of seen) expect(shape.safeParse(input).success).toBe(true);
  });

  test("tells the model what its tool gave, and goes on", async () => {
    let steps = 0;
    const { text } = await generateText({
      ...asked,
      maxOutputTokens: 200,
      prompt: "How is Paris?",
      tools: { weather: tool({ inputSchema: shape, execute: async () => "sunny" }) },
      stopWhen: ({ steps: done }) => done.length === 2,
      prepareStep: ({ stepNumber }) => {
        steps = stepNumber + 1;
        return { toolChoice: stepNumber === 0 ? ("required" as const) : ("none" as const) };
      },
    });
    expect([steps, text]).toEqual([2, expect.any(String)]);
  });

  test("makes objects of a schema", async () => {
    const prompt = "How is Paris?";
    const whole = await generateText({ ...asked, prompt, output: Output.object({ schema: shape }) });
    expect(shape.safeParse(whole.output).success).toBe(true);
    const plain = jsonSchema<{ ok: boolean }>({ type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] });
    const stream = streamText({ ...asked, prompt, output: Output.object({ schema: plain }) });
    await stream.consumeStream();
    expect(await stream.output).toEqual({ ok: expect.any(Boolean) });
  });

  test("embeds one and many", async () => {
    const model = provider.embeddingModel(EMBEDDING_MODEL);
    const { embedding } = await embed({ model, value: "one" });
    const { embeddings, usage } = await embedMany({ model, values: ["one", "two", "one"] });
    expect(embedding).toHaveLength(EMBEDDING_WIDTH);
    expect(embeddings).toHaveLength(3);
    expect(embeddings[0]).toEqual(embeddings[2]);
    expect(sdk.ai.cosineSimilarity(embedding, embeddings[0] ?? [])).toBeCloseTo(1, 3);
    expect(usage.tokens).toBeGreaterThan(2);
  });

  test.each([
    [
      "an unknown model",
      { model: provider("none"), prompt: "x" },
      { statusCode: 404, data: { error: { code: "model_not_found" } } },
    ],
    ["a prompt too long", { prompt: TOO_LONG }, { statusCode: 400, data: { error: { code: "context_length_exceeded" } } }],
    ["a bad parameter", { prompt: "x", topP: 7 }, { statusCode: 400, data: { error: { param: "top_p" } } }],
  ])("knows %s, streamed or not", async (_, more, facts) => {
    const failed: unknown = await generateText({ ...asked, ...more }).catch((reason: unknown) => reason);
    const inStream: unknown[] = [];
    const stream = streamText({ ...asked, ...more, onError: ({ error }) => void inStream.push(error) });
    await stream.consumeStream();
    for (const error of [failed, inStream[0]]) {
      expect(sdk.ai.APICallError.isInstance(error)).toBe(true);
      expect(error).toMatchObject({ ...facts, isRetryable: false });
    }
  });

  test("frees what it leaves", async () => {
    await expectFreed(async () => {
      const abort = new AbortController();
      const stream = streamText({ ...asked, prompt: LONG_QUESTION, abortSignal: abort.signal, onError: () => undefined });
      for await (const part of stream.fullStream) if (part.type === "text-delta") abort.abort();
    });
    await expectFreed(async () => {
      const call = generateText({ ...asked, prompt: LONG_QUESTION, abortSignal: AbortSignal.timeout(300) });
      await expect(call).rejects.toMatchObject({ name: "TimeoutError" });
    });
    expect((await generateText({ ...asked, prompt: CAPITAL.question })).text).toBe(CAPITAL.answer);
  });
});
