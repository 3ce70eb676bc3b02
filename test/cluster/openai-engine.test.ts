import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { fileURLToPath } from "node:url";
import OpenAI, { type APIError, BadRequestError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readModelFile } from "../../packages/catalog/src/index.ts";
import { ensureEngine, startHead } from "../../packages/engine/src/index.ts";
import { startGateway } from "../../packages/gateway/src/index.ts";
import { engineBackend } from "./engine-backend.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const DEMO = "demo-16l-q8_0";
const DEMO_PATH = fileURLToPath(new URL(`../../models/${DEMO}.gguf`, import.meta.url));
const stack = new AsyncDisposableStack();
let folder: string;
let client: OpenAI;
let filler: OpenAI;

/** A gateway over one real engine with a model, and the official SDK pointed at it. */
async function serve(path: string, model: string): Promise<OpenAI> {
  const { signal } = new AbortController();
  const { profile } = await readModelFile(path, { signal });
  const layerCount = profile.layers.length;
  const head = stack.use(
    await startHead({
      engine: await ensureEngine({ signal }),
      ...{ modelPath: path, modelId: model, layers: { head: layerCount, workers: [] }, layerCount },
      ...{ context: 1024, slots: 2, kv: "f16", threads: 1, acceleratorId: null, signal },
    }),
  );
  const backend = engineBackend(head, { model, context: 1024, slots: 2, infill: profile.infill ?? null });
  const gateway = stack.use(
    await startGateway({
      backend,
      apiKey: null,
      assetsDir: null,
      allowedHosts: [],
      allowedOrigins: [],
      host: "127.0.0.1",
      port: 0,
    }),
  );
  return new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-openai-"));
  const path = join(folder, "filler.gguf");
  await promisify(execFile)(process.execPath, [
    MAKE_MODEL,
    path,
    "--layers",
    "2",
    "--width",
    "128",
    "--vocab",
    "1290",
    "--infill",
  ]);
  [client, filler] = await Promise.all([serve(DEMO_PATH, DEMO), serve(path, "filler")]);
});

afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const PROMPT = "What is the capital of France?";
const ASK = { model: DEMO, input: PROMPT, temperature: 0 };

describe("responses", () => {
  test("whole: text, usage, and what was asked for repeated", async () => {
    const answer = await client.responses.create({ ...ASK, instructions: "Answer.", metadata: { a: "b" } });
    expect(answer.output_text).toMatch(/Paris/);
    expect(answer).toMatchObject({
      object: "response",
      status: "completed",
      store: false,
      instructions: "Answer.",
      metadata: { a: "b" },
      temperature: 0,
      error: null,
    });
    expect(answer.usage?.total_tokens).toBe((answer.usage?.input_tokens ?? 0) + (answer.usage?.output_tokens ?? 0));
    expect(answer.usage?.input_tokens).toBeGreaterThan(0);
  });

  test("streamed: every event in its order, numbered, and together the whole answer", async () => {
    const whole = await client.responses.create(ASK);
    const types: string[] = [];
    let text = "";
    let expected = 0;
    for await (const event of await client.responses.create({ ...ASK, stream: true })) {
      expect(event.sequence_number).toBe(expected);
      expected += 1;
      if (types.at(-1) !== event.type) types.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
      if (event.type === "response.completed") expect(event.response.usage?.total_tokens).toBe(whole.usage?.total_tokens);
    }
    expect(text).toBe(whole.output_text);
    expect(types).toEqual([
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
  });

  test("the SDK's own stream and its final response", async () => {
    const stream = client.responses.stream(ASK);
    let snapshot = "";
    stream.on("response.output_text.delta", (event) => (snapshot = event.snapshot));
    const final = await stream.finalResponse();
    expect(final.output_text).toMatch(/Paris/);
    expect(snapshot).toBe(final.output_text);
  });

  test("a schema is kept to, and parsed by the SDK", async () => {
    const schema = {
      type: "object",
      properties: { city: { enum: ["Paris", "Rome"] } },
      required: ["city"],
      additionalProperties: false,
    };
    const format = { type: "json_schema", name: "city", schema, strict: true } as const;
    const answer = await client.responses.parse({ ...ASK, text: { format } });
    expect(JSON.parse(answer.output_text)).toEqual({ city: expect.stringMatching(/^(Paris|Rome)$/) });
    expect(answer.text?.format).toEqual(format);
  });

  test("a function that must be called: streamed and whole, its arguments in one piece at the end", async () => {
    const tool: OpenAI.Responses.FunctionTool = {
      ...{ type: "function", name: "look_up", strict: true, description: "Looks a city up." },
      parameters: { type: "object", properties: { city: { enum: ["Paris", "Rome"] } }, required: ["city"] },
    };
    const wish: OpenAI.Responses.ResponseCreateParamsNonStreaming = {
      ...{ ...ASK, input: "What is the weather in Paris?", tools: [tool], max_output_tokens: 100 },
      tool_choice: { type: "function", name: "look_up" },
    };
    const whole = await client.responses.create(wish);
    const streamed = await client.responses.stream({ ...wish, stream: true }).finalResponse();
    for (const { output } of [whole, streamed]) {
      const items: readonly OpenAI.Responses.ResponseOutputItem[] = output;
      const [call] = items.flatMap((item) => (item.type === "function_call" ? [item] : []));
      expect(call, JSON.stringify(output)).toMatchObject({ name: "look_up", status: "completed" });
      expect(JSON.parse(call?.arguments ?? "")).toEqual({ city: expect.stringMatching(/^(Paris|Rome)$/) });
      const next = await client.responses.create({
        ...ASK,
        input: [
          { role: "user", content: PROMPT },
          ...(output as OpenAI.Responses.ResponseInputItem[]),
          { type: "function_call_output", call_id: call?.call_id ?? "", output: "It is Paris." },
        ],
        tools: [tool],
        max_output_tokens: 16,
      });
      expect(["completed", "incomplete"]).toContain(next.status);
    }
  });

  test("what is cut short says so", async () => {
    const answer = await client.responses.create({ ...ASK, max_output_tokens: 2 });
    expect(answer).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
    const events = await Array.fromAsync(await client.responses.create({ ...ASK, max_output_tokens: 2, stream: true }));
    expect(events.at(-1)?.type).toBe("response.incomplete");
  });

  test("log-probabilities where they are included", async () => {
    const answer = await client.responses.create({ ...ASK, include: ["message.output_text.logprobs"], top_logprobs: 2 });
    const [message] = answer.output;
    const part = message?.type === "message" ? message.content[0] : undefined;
    expect(part?.type).toBe("output_text");
    const logprobs = part?.type === "output_text" ? (part.logprobs ?? []) : [];
    expect(logprobs.map(({ token }) => token).join("")).toContain("Paris");
    expect(logprobs[0]?.top_logprobs).toHaveLength(2);
  });

  test("a conversation that is too long is refused with both numbers, before anything is sent", async () => {
    const long = client.responses.create({ ...ASK, input: "word ".repeat(3000), stream: true });
    await expect(long).rejects.toMatchObject({ status: 400, code: "context_length_exceeded", param: "input" });
  });

  test.each([
    [{ store: true }, "store"],
    [{ previous_response_id: "resp_1" }, "previous_response_id"],
    [{ conversation: "conv_1" }, "conversation"],
    [{ background: true }, "background"],
    [{ tools: [{ type: "web_search" as const }] }, "tools[0].type"],
    [{ truncation: "auto" as const }, "truncation"],
  ])("%o is refused by name", async (wish, param) => {
    const refused = await client.responses.create({ ...ASK, ...wish }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(BadRequestError);
    expect((refused as APIError).param).toBe(param);
  });
});

describe("completions", () => {
  const TEXT = { model: DEMO, prompt: "Once upon a time there was", temperature: 0, max_tokens: 6 };

  test("log-probabilities in that API's shape, alike whole and streamed", async () => {
    const { choices } = await client.completions.create({ ...TEXT, logprobs: 2 });
    const logprobs = choices[0]?.logprobs;
    expect(logprobs?.tokens?.join("")).toBe(choices[0]?.text);
    expect(logprobs?.token_logprobs?.every((value) => value <= 0)).toBe(true);
    expect(Object.keys(logprobs?.top_logprobs?.[0] ?? {})).toHaveLength(2);
    expect(logprobs?.text_offset?.[1]).toBe(Array.from(logprobs?.tokens?.[0] ?? "").length);
    const chunks = await Array.fromAsync(await client.completions.create({ ...TEXT, logprobs: 2, stream: true }));
    const tokens = chunks.flatMap((chunk) => chunk.choices[0]?.logprobs?.tokens ?? []);
    const offsets = chunks.flatMap((chunk) => chunk.choices[0]?.logprobs?.text_offset ?? []);
    expect([tokens, offsets]).toEqual([logprobs?.tokens, logprobs?.text_offset]);
  });

  test("echo, several prompts and choices", async () => {
    const plain = await client.completions.create(TEXT);
    const { choices } = await client.completions.create({ ...TEXT, prompt: [TEXT.prompt, "Hello"], echo: true, n: 2 });
    expect(choices.map(({ text }) => text.startsWith(TEXT.prompt))).toEqual([true, true, false, false]);
    expect(choices[0]?.text).toBe(TEXT.prompt + (plain.choices[0]?.text ?? ""));
  });

  test("a suffix: filled by a model with marks for gaps, refused by one without", async () => {
    await expect(client.completions.create({ ...TEXT, suffix: "!" })).rejects.toMatchObject({ status: 501, param: "suffix" });
    const without = await filler.completions.create({ ...TEXT, model: "filler" });
    const filled = await filler.completions.create({ ...TEXT, model: "filler", suffix: "the end" });
    // Three marks, and what the suffix has.
    expect((filled.usage?.prompt_tokens ?? 0) - (without.usage?.prompt_tokens ?? 0)).toBeGreaterThan(3);
    expect(filled.choices[0]?.text).not.toBe(without.choices[0]?.text);
  });

  test("a stream's count comes in a chunk of its own", async () => {
    const wish = { ...TEXT, stream: true, stream_options: { include_usage: true } } as const;
    const chunks = await Array.fromAsync(await client.completions.create(wish));
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 6 } });
    expect(chunks.slice(0, -1).every(({ usage }) => usage === undefined)).toBe(true);
  });
});
