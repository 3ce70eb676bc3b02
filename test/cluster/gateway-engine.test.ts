import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import OpenAI, { NotFoundError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureEngine, startHead, type Head } from "../../packages/engine/src/index.ts";
import { startGateway, type RunningGateway } from "../../packages/gateway/src/index.ts";
import { engineBackend } from "./engine-backend.ts";

const MODEL = "demo-16l-q8_0";
const MODELS = fileURLToPath(new URL("../../models/", import.meta.url));
const CONTEXT = 1024;
const LAYERS = 16;

interface Question {
  readonly kind: string;
  readonly prompt: string;
  readonly expect: string;
  readonly match: string;
}

let llamaServer: string;
let head: Head;
let gateway: RunningGateway;
let questions: readonly Question[];

async function newHead(): Promise<Head> {
  return startHead({
    engine: { llamaServer },
    modelPath: `${MODELS}${MODEL}.gguf`,
    modelId: MODEL,
    layers: { head: LAYERS, workers: [] },
    layerCount: LAYERS,
    context: CONTEXT,
    slots: 2,
    kv: "f16",
    threads: 1,
    acceleratorId: null,
    signal: AbortSignal.timeout(120_000),
  });
}

function serve(engine: Head): Promise<RunningGateway> {
  return startGateway({
    backend: engineBackend(engine, { model: MODEL, context: CONTEXT, slots: 2 }),
    apiKey: null,
    assetsDir: null,
    allowedHosts: [],
    allowedOrigins: [],
    host: "127.0.0.1",
    port: 0,
  });
}

beforeAll(async () => {
  ({ llamaServer } = await ensureEngine());
  questions = JSON.parse(await readFile(`${MODELS}questions.json`, "utf8")) as readonly Question[];
  head = await newHead();
  gateway = await serve(head);
});

afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await head?.[Symbol.asyncDispose]();
});

async function post(path: string, body: unknown): Promise<Response> {
  return fetch(gateway.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

function chat(prompt: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { model: MODEL, messages: [{ role: "user", content: prompt }], temperature: 0, ...more };
}

interface Slot {
  readonly is_processing: boolean;
  readonly next_token?: readonly { readonly n_decoded: number }[];
}

/** Tokens that each working slot of the engine has generated so far, by the engine's own word. */
async function working(): Promise<readonly number[]> {
  const slots = (await askHead("/slots")) as readonly Slot[];
  return slots.filter((slot) => slot.is_processing).map((slot) => slot.next_token?.[0]?.n_decoded ?? 0);
}

interface Completion {
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly message: { readonly content: string; readonly tool_calls?: readonly unknown[] };
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

function client(): OpenAI {
  return new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
}

/** What the engine says when it is asked without us. */
async function askEngineItself(body: unknown): Promise<Completion> {
  return (await askHead("/v1/chat/completions", body)) as Completion;
}

describe("the official client", () => {
  test("gets the right answers, whole and streamed alike", async () => {
    for (const question of questions.filter(({ match }) => match === "exact").slice(0, 20)) {
      const messages = [{ role: "user" as const, content: question.prompt }];
      const whole = await client().chat.completions.create({ model: MODEL, messages, temperature: 0 });
      expect(whole.choices[0]?.message.content).toBe(question.expect);
      expect(whole.model).toBe(MODEL);
      const stream = await client().chat.completions.create({ model: MODEL, messages, temperature: 0, stream: true });
      let text = "";
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
      expect(text).toBe(question.expect);
    }
  });

  test("reads text completions, whose first event the engine spoils", async () => {
    const stream = await client().completions.create({ model: MODEL, prompt: "The capital of", max_tokens: 4, stream: true });
    let chunks = 0;
    for await (const chunk of stream) chunks += chunk.choices.length;
    expect(chunks).toBeGreaterThan(0);
  });

  test("knows our errors for what they are", async () => {
    const messages = [{ role: "user" as const, content: "x" }];
    await expect(client().chat.completions.create({ model: "none", messages })).rejects.toBeInstanceOf(NotFoundError);
    await expect(client().chat.completions.create({ model: MODEL, messages, n: 99 })).rejects.toMatchObject({
      status: 400,
      param: "n",
    });
  });

  test("lists and fetches the model", async () => {
    const models = await client().models.list();
    expect(models.data.map(({ id }) => id)).toEqual([MODEL]);
    expect((await client().models.retrieve(MODEL)).id).toBe(MODEL);
  });
});

describe("a prompt beyond the context", () => {
  test.each([false, true])("is refused with both numbers before the first byte (stream: %s)", async (stream) => {
    const response = await post("/v1/chat/completions", chat("hello there friend ".repeat(1_000), { stream }));
    const { error } = (await response.json()) as { error: { code: string; param: string; message: string } };
    expect([response.status, error.code, error.param]).toEqual([400, "context_length_exceeded", "messages"]);
    expect(error.message).toMatch(new RegExp(`\\d{4,} tokens.* ${CONTEXT} tokens`));
  });
});

test("a whole answer is the engine's own", async () => {
  for (const { prompt } of questions.slice(0, 5)) {
    const [ours, own] = [
      (await (await post("/v1/chat/completions", chat(prompt))).json()) as Completion,
      await askEngineItself(chat(prompt)),
    ];
    expect(Object.keys(ours).toSorted()).toEqual(Object.keys(own).toSorted());
    expect(ours.choices).toEqual(own.choices);
    expect(ours.usage.completion_tokens).toBe(own.usage.completion_tokens);
    expect(ours.usage.prompt_tokens).toBe(own.usage.prompt_tokens);
  }
});

describe("what the engine alone would not do", () => {
  test("more choices than slots, their tokens all counted", async () => {
    const [one, four] = await Promise.all(
      [1, 4].map(
        async (n) =>
          (await (await post("/v1/chat/completions", chat("What is the capital of France?", { n }))).json()) as Completion,
      ),
    );
    expect(four?.choices.map(({ index, message }) => `${index} ${message.content}`)).toEqual(
      [0, 1, 2, 3].map((index) => `${index} ${one?.choices[0]?.message.content}`),
    );
    expect(four?.usage.prompt_tokens).toBe(one?.usage.prompt_tokens);
    expect(four?.usage.completion_tokens).toBe(4 * (one?.usage.completion_tokens ?? 0));
  });

  test("logprobs without alternatives", async () => {
    const response = await post(
      "/v1/chat/completions",
      chat("What is the capital of France?", { logprobs: true, max_tokens: 2 }),
    );
    const { choices } = (await response.json()) as { choices: { logprobs: { content: unknown[] } }[] };
    expect(choices[0]?.logprobs.content).toHaveLength(2);
  });

  test("a call of the one function that was named, whole and streamed", async () => {
    const tools = ["get_weather", "get_time"].map((name) => ({
      type: "function" as const,
      function: { name, parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
    }));
    const choice = { type: "function" as const, function: { name: "get_weather" } };
    const messages = [{ role: "user" as const, content: "What is the weather in Paris?" }];
    const body = { model: MODEL, messages, tools, tool_choice: choice, temperature: 0, max_tokens: 100 };
    const whole = await client().chat.completions.create(body);
    const call = { type: "function", function: { name: "get_weather", arguments: expect.stringContaining("Paris") } };
    expect(whole.choices[0]?.message.tool_calls).toMatchObject([call]);
    const streamed = await client().chat.completions.stream(body).finalChatCompletion();
    expect(streamed.choices[0]?.message.tool_calls).toMatchObject([call]);
  });

  test("an answer in the shape of a schema", async () => {
    const schema = { type: "object", properties: { city: { enum: ["Paris"] } }, required: ["city"], additionalProperties: false };
    const body = chat("Where?", {
      response_format: { type: "json_schema", json_schema: { name: "x", schema, strict: true } },
      max_tokens: 100,
    });
    const { choices } = (await (await post("/v1/chat/completions", body)).json()) as Completion;
    expect(JSON.parse(choices[0]?.message.content ?? "")).toEqual({ city: "Paris" });
  });

  test("an image for a model that has no eyes is refused by name", async () => {
    const content = [{ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }];
    const response = await post("/v1/chat/completions", { model: MODEL, messages: [{ role: "user", content }] });
    expect([response.status, await response.json()]).toEqual([501, { error: expect.objectContaining({ code: "unsupported" }) }]);
  });

  test("a grammar that costs a lot is refused, or costs little", async () => {
    const schema = { type: "string", pattern: "^((a{1000}){1000}){1000}$" };
    const body = chat("x", { response_format: { type: "json_schema", json_schema: { schema } }, max_tokens: 1 });
    await (await post("/v1/chat/completions", body)).text();
    expect((await post("/v1/chat/completions", chat("hello", { max_tokens: 1 }))).status).toBe(200);
  });
});

async function askHead(path: string, body?: unknown): Promise<unknown> {
  const headers = { authorization: `Bearer ${head.apiKey}`, "content-type": "application/json" };
  const init = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  return (await fetch(`http://127.0.0.1:${head.port}${path}`, init)).json();
}

/** A generation that goes on until the context is full: the token that ends a text is out of reach. */
async function longRequest(stream: boolean): Promise<string> {
  const { eos_token: end } = (await askHead("/props")) as { eos_token: string };
  const { tokens } = (await askHead("/tokenize", { content: end, parse_special: true })) as { tokens: readonly number[] };
  const bias = Object.fromEntries(tokens.map((id) => [String(id), -100]));
  const body = JSON.stringify({ model: MODEL, prompt: "The capital of", stream, temperature: 1, seed: 1, logit_bias: bias });
  return `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

describe("a client that goes", () => {
  test.each([true, false])("frees the engine's slot (stream: %s)", async (stream) => {
    await expect.poll(working).toEqual([]);
    const socket = connect(gateway.port, "127.0.0.1");
    await once(socket, "connect");
    socket.write(await longRequest(stream));
    await expect.poll(working, { interval: 5 }).toEqual([expect.any(Number)]);
    socket.destroy();
    let decoded = 0;
    for (let busy = await working(); busy.length > 0; busy = await working()) decoded = Math.max(decoded, ...busy);
    // Left alone it goes on until the context is full.
    expect(decoded).toBeLessThan(CONTEXT / 2);
  });
});

test("an engine that is killed mid-stream ends the stream in an error", async () => {
  await using engine = await newHead();
  await using own = await serve(engine);
  const socket = connect(own.port, "127.0.0.1");
  await once(socket, "connect");
  let text = "";
  socket.on("data", (bytes: Buffer) => {
    text += bytes.toString();
  });
  socket.write(await longRequest(true));
  await expect.poll(() => text, { interval: 5 }).toContain('"text"');
  process.kill(engine.process.pid, "SIGKILL");
  await expect.poll(() => text, { timeout: 5_000 }).toContain('data: {"error":');
  expect(text).toContain('"code":"engine_crashed"');
  expect(text).not.toContain("[DONE]");
  socket.destroy();
});
