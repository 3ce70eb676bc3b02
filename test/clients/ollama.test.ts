import { Ollama, type Tool } from "ollama";
import { describe, expect, inject, test } from "vitest";
import { OLLAMA } from "./harness/generations.ts";
import { EMBEDDING_MODEL, EMBEDDING_WIDTH } from "./harness/models.ts";
import { CAPITAL, DAY, LONG_QUESTION, MODEL, TOO_LONG, WEATHER_SCHEMA } from "./harness/questions.ts";
import { expectFreed } from "./harness/watch.ts";

const options = { temperature: 0 };
const ask = (content: string) => ({ model: MODEL, options, messages: [{ role: "user", content }] });
const TOOL = {
  type: "function",
  function: { name: "weather", description: "The weather of some days", parameters: WEATHER_SCHEMA },
} as unknown as Tool;

describe.each(OLLAMA)("%s", (_, Client) => {
  const client = new Client({ host: inject("url") });

  test("chats", async () => {
    const answer = await client.chat(ask(CAPITAL.question));
    expect(answer).toMatchObject({ model: MODEL, done: true, done_reason: "stop", message: { role: "assistant" } });
    expect(answer.message.content).toBe(CAPITAL.answer);
    expect([answer.prompt_eval_count, answer.eval_count]).toEqual([17, 12]);
    for (const duration of [answer.total_duration, answer.eval_duration]) expect(duration).toBeGreaterThan(0);
  });

  test("streams a chat", async () => {
    const parts = await Array.fromAsync(await client.chat({ ...ask(CAPITAL.question), stream: true }));
    expect(parts.map(({ message }) => message.content).join("")).toBe(CAPITAL.answer);
    expect(parts.map(({ done }) => done)).toEqual(parts.map((part) => part === parts.at(-1)));
    expect(parts.length).toBeGreaterThan(3);
    expect(parts.at(-1)).toMatchObject({ done_reason: "stop", eval_count: 12 });
  });

  test("generates, whole and streamed, by the template and without", async () => {
    const body = { model: MODEL, prompt: DAY.question, options };
    expect(await client.generate(body)).toMatchObject({ response: DAY.answer, done: true });
    const parts = await Array.fromAsync(await client.generate({ ...body, stream: true }));
    expect(parts.map(({ response }) => response).join("")).toBe(DAY.answer);
    const raw = { ...body, raw: true, prompt: "The capital of", options: { ...options, num_predict: 4 } };
    expect((await client.generate(raw)).response).toEqual(expect.stringMatching(/\w/));
  });

  test("offers tools and hands back what one gave", async () => {
    const offered = await client.chat({ ...ask(CAPITAL.question), tools: [TOOL], options: { ...options, num_predict: 30 } });
    expect(offered.message.role).toBe("assistant");
    const call = { function: { name: "weather", arguments: { city: "Paris", days: 1 } } };
    const messages = [
      { role: "user", content: "How is Paris?" },
      { role: "assistant", content: "", tool_calls: [call] },
      { role: "tool", content: "sunny", tool_name: "weather" },
      { role: "user", content: DAY.question },
    ];
    const after = await client.chat({ ...ask(""), messages, options: { ...options, num_predict: 30 } });
    expect(after.done).toBe(true);
  });

  test("gets answers of a schema", async () => {
    const { message } = await client.chat({ ...ask("How is Paris?"), format: WEATHER_SCHEMA });
    expect(JSON.parse(message.content)).toEqual({ city: expect.stringMatching(/^(Paris|Oslo)$/), days: expect.any(Number) });
    const { response } = await client.generate({ model: MODEL, prompt: "x", format: WEATHER_SCHEMA, options });
    expect(JSON.parse(response ?? "")).toHaveProperty("city");
  });

  test("embeds", async () => {
    const { embeddings } = await client.embed({ model: EMBEDDING_MODEL, input: ["one", "two", "one"] });
    expect(embeddings.map(({ length }) => length)).toEqual([EMBEDDING_WIDTH, EMBEDDING_WIDTH, EMBEDDING_WIDTH]);
    expect(embeddings[0]).toEqual(embeddings[2]);
    const { embedding } = await client.embeddings({ model: EMBEDDING_MODEL, prompt: "one" });
    embedding.forEach((value, at) => expect(embeddings[0]?.[at]).toBeCloseTo(value, 4));
  });

  test("looks around", async () => {
    expect((await client.list()).models.map(({ name }) => name)).toEqual(expect.arrayContaining([MODEL, EMBEDDING_MODEL]));
    expect((await client.ps()).models.map(({ name }) => name)).toEqual(expect.arrayContaining([MODEL, EMBEDDING_MODEL]));
    const shown = await client.show({ model: MODEL });
    expect(shown).toMatchObject({
      details: { format: "gguf", family: "llama" },
      capabilities: expect.arrayContaining(["completion"]),
    });
    expect((await client.show({ model: EMBEDDING_MODEL })).capabilities).toEqual(["embedding"]);
    expect(await client.pull({ model: MODEL })).toMatchObject({ status: "success" });
  });

  test.each([
    ["an unknown model", { model: "none" }, 404],
    ["a prompt too long", ask(TOO_LONG), 400],
    ["a bad parameter", { options: { top_p: 7 } }, 400],
  ])("knows %s, streamed or not", async (_, more, status) => {
    const failed = { name: "ResponseError", status_code: status, error: expect.stringMatching(/\w+ .*\w/) };
    await expect(client.chat({ ...ask("x"), ...more })).rejects.toMatchObject(failed);
    await expect(client.chat({ ...ask("x"), ...more, stream: true })).rejects.toMatchObject(failed);
  });

  test("frees what it leaves", async () => {
    await expectFreed(async () => {
      const stream = await client.chat({ ...ask(LONG_QUESTION), stream: true });
      await expect(
        (async () => {
          for await (const { message } of stream) if (message.content !== "") stream.abort();
        })(),
      ).rejects.toMatchObject({ name: "AbortError" });
    });
    await expectFreed(async () => {
      const leaving = new Client({ host: inject("url") });
      const generating = leaving.generate({ model: MODEL, prompt: LONG_QUESTION, options, stream: true });
      for await (const { response } of await generating) if (response !== "") break;
      leaving.abort();
    });
    expect((await client.chat(ask(CAPITAL.question))).message.content).toBe(CAPITAL.answer);
  });
});

test("the version of the API is told", async () => {
  const client = new Ollama({ host: inject("url") });
  expect((await client.version()).version).toMatch(/^\d+\.\d+\.\d+$/);
});
