import type { ToolMessage } from "@langchain/core/messages";
import { describe, expect, inject, test } from "vitest";
import { LANGCHAIN } from "./harness/generations.ts";
import { EMBEDDING_MODEL, EMBEDDING_WIDTH } from "./harness/models.ts";
import { CAPITAL, DAY, LONG_QUESTION, MODEL, TOO_LONG, WEATHER_SCHEMA } from "./harness/questions.ts";
import { expectFreed } from "./harness/watch.ts";

describe.each(LANGCHAIN)("%s", (_, sdk) => {
  const configuration = { baseURL: `${inject("url")}/v1` };
  const asked = { model: MODEL, temperature: 0, apiKey: "none", maxRetries: 0, configuration };
  const chat = new sdk.ChatOpenAI(asked);
  const shape = sdk.z.object({ city: sdk.z.enum(["Paris", "Oslo"]), days: sdk.z.number().int().min(1).max(9) });
  const weather = sdk.tool(async () => "sunny", { name: "weather", description: "The weather of some days", schema: shape });

  test("invokes", async () => {
    const answer = await chat.invoke(CAPITAL.question);
    expect(answer.content).toBe(CAPITAL.answer);
    expect(answer.usage_metadata).toMatchObject({ input_tokens: 17, output_tokens: 12, total_tokens: 29 });
    expect(answer.response_metadata).toMatchObject({ finish_reason: "stop" });
  });

  test("streams", async () => {
    const chunks = await Array.fromAsync(await chat.stream(CAPITAL.question));
    expect(chunks.length).toBeGreaterThan(2);
    expect(chunks.map(({ text }) => text).join("")).toBe(CAPITAL.answer);
    expect(chunks.reduce((all, chunk) => all.concat(chunk)).usage_metadata).toMatchObject({ output_tokens: 12 });
  });

  test("speaks by responses as well", async () => {
    const answer = await new sdk.ChatOpenAI({ ...asked, useResponsesApi: true }).invoke(CAPITAL.question);
    expect(answer.text).toBe(CAPITAL.answer);
    expect(answer.usage_metadata).toMatchObject({ output_tokens: 12 });
  });

  test("answers a batch, more at once than there are slots", async () => {
    const answers = await chat.batch([CAPITAL.question, DAY.question, CAPITAL.question, DAY.question]);
    expect(answers.map(({ content }) => content)).toEqual([CAPITAL.answer, DAY.answer, CAPITAL.answer, DAY.answer]);
  });

  test("binds tools, and hands back what they gave", async () => {
    const bound = chat.bindTools([weather], { tool_choice: "weather" });
    const question = new sdk.HumanMessage("How is Paris?");
    const asking = await bound.invoke([question]);
    const streamed = (await Array.fromAsync(await bound.stream([question]))).reduce((all, chunk) => all.concat(chunk));
    for (const { tool_calls: calls = [] } of [asking, streamed]) {
      expect(calls).toMatchObject([{ name: "weather", id: expect.any(String) }]);
      expect(shape.safeParse(calls[0]?.args).success).toBe(true);
    }
    const [call] = asking.tool_calls ?? [];
    const result: unknown = await weather.invoke(call as Parameters<typeof weather.invoke>[0]);
    expect(result).toBeInstanceOf(sdk.ToolMessage);
    const answer = await new sdk.ChatOpenAI({ ...asked, maxTokens: 200 }).invoke([question, asking, result as ToolMessage]);
    expect(answer).toBeInstanceOf(sdk.AIMessage);
  });

  test.each(["jsonSchema", "functionCalling"] as const)("gives structured output by %s", async (method) => {
    const parsed = await chat.withStructuredOutput(shape, { name: "weather", method }).invoke("How is Paris?");
    expect(shape.safeParse(parsed).success).toBe(true);
    const plain = await chat.withStructuredOutput({ title: "weather", ...WEATHER_SCHEMA }, { method }).invoke("How is Paris?");
    expect(shape.safeParse(plain).success).toBe(true);
  });

  test("embeds documents and a query", async () => {
    const embeddings = new sdk.OpenAIEmbeddings({ model: EMBEDDING_MODEL, apiKey: "none", maxRetries: 0, configuration });
    const documents = await embeddings.embedDocuments(["one", "two"]);
    const query = await embeddings.embedQuery("one");
    expect(documents.map(({ length }) => length)).toEqual([EMBEDDING_WIDTH, EMBEDDING_WIDTH]);
    query.forEach((value, at) => expect(documents[0]?.[at]).toBeCloseTo(value, 5));
  });

  test.each([
    ["an unknown model", { model: "none" }, "x", { status: 404, code: "model_not_found", lc_error_code: "MODEL_NOT_FOUND" }],
    ["a prompt too long", {}, TOO_LONG, { status: 400, code: "context_length_exceeded" }],
    ["a bad parameter", { topP: 7 }, "x", { status: 400, param: "top_p" }],
    ["too many choices", { n: 99 }, "x", { status: 400, param: "n" }],
  ])("knows %s, streamed or not", async (_, more, prompt, facts) => {
    const wrong = new sdk.ChatOpenAI({ ...asked, ...more });
    await expect(wrong.invoke(prompt)).rejects.toMatchObject(facts);
    await expect(wrong.stream(prompt).then(async (stream) => Array.fromAsync(stream))).rejects.toMatchObject(facts);
  });

  test("frees what it leaves", async () => {
    await expectFreed(async () => {
      for await (const { content } of await chat.stream(LONG_QUESTION)) if (content !== "") break;
    });
    await expectFreed(async () => {
      await expect(chat.invoke(LONG_QUESTION, { signal: AbortSignal.timeout(300) })).rejects.toThrow();
    });
    await expectFreed(async () => {
      await expect(new sdk.ChatOpenAI({ ...asked, timeout: 300 }).invoke(LONG_QUESTION)).rejects.toThrow(/timed out/i);
    });
    expect((await chat.invoke(CAPITAL.question)).content).toBe(CAPITAL.answer);
  });
});
