import { Ollama, type ChatResponse, type GenerateResponse } from "ollama";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEMO_CONTEXT as CONTEXT, DEMO_MODEL as MODEL, startDemoGateway, type DemoGateway } from "./demo-gateway.ts";

let gateway: DemoGateway;
let client: Ollama;

beforeAll(async () => {
  gateway = await startDemoGateway({ apiKey: null });
  client = new Ollama({ host: gateway.url });
});

afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
});

const PLAIN = { temperature: 0, num_predict: 64 };
const user = (content: string): { role: string; content: string }[] => [{ role: "user", content }];

async function all<Item>(stream: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

function checkDurations(answer: ChatResponse | GenerateResponse): void {
  const { total_duration: total, load_duration: load, prompt_eval_duration: prompt, eval_duration: made } = answer;
  expect([answer.done, answer.done_reason]).toEqual([true, "stop"]);
  expect(Math.min(answer.prompt_eval_count, answer.eval_count, prompt, made)).toBeGreaterThan(0);
  expect(load + prompt + made).toBeLessThanOrEqual(total + 2);
}

describe("the official client", () => {
  test("gets the right answers, whole and streamed, chatting and generating", async () => {
    for (const { prompt, expect: right } of gateway.questions.slice(0, 8)) {
      const chat = await client.chat({ model: MODEL, messages: user(prompt), options: PLAIN });
      const generated = await client.generate({ model: `${MODEL}:latest`, prompt, options: PLAIN });
      const lines = await all(await client.chat({ model: MODEL, messages: user(prompt), options: PLAIN, stream: true }));
      const pieces = await all(await client.generate({ model: MODEL, prompt, options: PLAIN, stream: true }));
      expect(chat.message.content).toBe(right);
      expect(generated.response).toBe(right);
      expect(lines.map(({ message }) => message.content).join("")).toBe(right);
      expect(pieces.map(({ response }) => response).join("")).toBe(right);
      expect([chat.model, generated.model]).toEqual([MODEL, `${MODEL}:latest`]);
      for (const answer of [chat, generated, lines.at(-1), pieces.at(-1)]) {
        if (answer === undefined) throw new Error("no last line");
        checkDurations(answer);
        expect(answer.prompt_eval_count).toBe(chat.prompt_eval_count);
      }
    }
  });

  test("goes on with a text as it stands", async () => {
    const request = { model: MODEL, prompt: "The capital of France is", raw: true, options: { ...PLAIN, num_predict: 2 } };
    const whole = await client.generate(request);
    const pieces = await all(await client.generate({ ...request, stream: true }));
    expect(whole.response).not.toBe("");
    expect(pieces.map(({ response }) => response).join("")).toBe(whole.response);
    expect([whole.done_reason, pieces.at(-1)?.done_reason]).toEqual(["length", "length"]);
  });

  test("gets an answer in the shape of a schema, and as JSON", async () => {
    const schema = { type: "object", properties: { city: { enum: ["Paris"] } }, required: ["city"], additionalProperties: false };
    const shaped = await client.chat({ model: MODEL, messages: user("Where?"), format: schema, options: PLAIN });
    expect(JSON.parse(shaped.message.content)).toEqual({ city: "Paris" });
    const generated = await client.generate({ model: MODEL, prompt: "Where?", format: schema, options: PLAIN });
    expect(JSON.parse(generated.response ?? "")).toEqual({ city: "Paris" });
  });

  test("sends calls of tools and their results back", async () => {
    const messages = [
      ...user("What is the weather in Paris?"),
      { role: "assistant", content: "", tool_calls: [{ function: { name: "get_weather", arguments: { city: "Paris" } } }] },
      { role: "tool", tool_name: "get_weather", content: "sunny" },
    ];
    const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
    const tools = [{ type: "function", function: { name: "get_weather", description: "Weather", parameters } }];
    const answer = await client.chat({ model: MODEL, messages, tools, options: { ...PLAIN, num_predict: 8 } });
    expect(answer.message.role).toBe("assistant");
  });

  test("is told the likelihood of tokens", async () => {
    const request = {
      model: MODEL,
      messages: user("What is the capital of France?"),
      logprobs: true,
      top_logprobs: 2,
      options: PLAIN,
    };
    const whole = await client.chat(request);
    const lines = await all(await client.chat({ ...request, stream: true }));
    const told = lines.flatMap(({ logprobs = [] }) => logprobs);
    expect(told.map(({ token }) => token).join("")).toContain("Paris");
    expect(whole.logprobs?.map(({ token }) => token)).toEqual(told.map(({ token }) => token));
    expect(told[0]).toMatchObject({ logprob: expect.any(Number) as number, top_logprobs: [{}, {}] });
  });

  test("frees the slot of a stream that it aborts", async () => {
    const stream = await client.chat({
      model: MODEL,
      messages: user("Tell me a story."),
      stream: true,
      options: { num_predict: 900 },
    });
    await expect(
      (async () => {
        for await (const _ of stream) stream.abort();
      })(),
    ).rejects.toThrow(/abort/i);
    await expect.poll(gateway.busySlots).toBe(0);
  });

  test("loads a model by asking for nothing else", async () => {
    const answer = await client.generate({ model: MODEL, prompt: "" });
    expect(answer).toMatchObject({ done: true, done_reason: "load", response: "" });
  });

  test("knows our errors for what they are", async () => {
    await expect(client.chat({ model: "none", messages: user("x") })).rejects.toMatchObject({ status_code: 404 });
    const long = { model: MODEL, messages: user("hello there friend ".repeat(1_000)) };
    await expect(client.chat(long)).rejects.toMatchObject({
      status_code: 400,
      error: expect.stringMatching(/\d{4,} tokens/) as string,
    });
    const wide = { model: MODEL, messages: user("x"), options: { num_ctx: CONTEXT + 1 } };
    await expect(client.chat(wide)).rejects.toMatchObject({
      status_code: 400,
      error: expect.stringContaining("num_ctx") as string,
    });
    await expect(client.chat({ ...wide, options: { num_ctx: CONTEXT, num_predict: 1 } })).resolves.toMatchObject({ done: true });
    const image = { model: MODEL, messages: [{ role: "user", content: "What is this?", images: ["AAAA"] }] };
    await expect(client.chat(image)).rejects.toMatchObject({ status_code: 501 });
    await expect(client.embed({ model: MODEL, input: "x" })).rejects.toMatchObject({ status_code: 501 });
    await expect(client.delete({ model: MODEL })).rejects.toMatchObject({ status_code: 501 });
  });

  test("shows what is known of the model", async () => {
    expect((await client.list()).models.map(({ name }) => name)).toEqual([MODEL]);
    const shown = await client.show({ model: MODEL });
    expect(shown.capabilities).toEqual(["completion", "tools"]);
    expect([shown.parameters, shown.details.parameter_size]).toEqual([`num_ctx ${CONTEXT}`, "3.5M"]);
    expect(shown.template).toContain("<|im_start|>");
    expect((await client.version()).version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(await client.pull({ model: MODEL })).toEqual({ status: "success" });
  });
});
