import { expect, inject, test } from "vitest";
import type { ClusterState } from "../../packages/wire/src/index.ts";
import { enginesOf } from "../cluster/harness/processes.ts";
import { AI, ANTHROPIC, LANGCHAIN, OLLAMA, OPENAI } from "./harness/generations.ts";
import { FRAGILE, FRAGILE_SLOTS } from "./harness/models.ts";
import { LONG_QUESTION } from "./harness/questions.ts";

const url = inject("url");
const key = "none";
const messages = [{ role: "user" as const, content: LONG_QUESTION }];
const chat = { model: FRAGILE, messages, temperature: 0 };

/** Reads a stream to its end, and tells when its first text has come. */
type Reading = (onText: () => void) => Promise<void>;

const openAi = OPENAI.map(([name, { OpenAI }]): [string, Reading] => [
  name,
  async (onText) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
    for await (const { choices } of await client.chat.completions.create({ ...chat, stream: true }))
      if (choices[0]?.delta.content) onText();
  },
]);
const anthropic = ANTHROPIC.map(([name, Anthropic]): [string, Reading] => [
  name,
  async (onText) => {
    const body = { ...chat, max_tokens: 900 };
    const stream = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 }).messages.stream(body);
    await stream.on("text", onText).finalMessage();
  },
]);
const aiSdk = AI.map(([name, { ai, createOpenAICompatible }]): [string, Reading] => [
  name,
  async (onText) => {
    const model = createOpenAICompatible({ name: "clusterd", baseURL: `${url}/v1` })(FRAGILE);
    const stream = ai.streamText({ model, messages, temperature: 0, maxRetries: 0, onError: () => undefined });
    for await (const part of stream.fullStream) {
      if (part.type === "text-delta") onText();
      if (part.type === "error") throw part.error;
    }
  },
]);
const langChain = LANGCHAIN.map(([name, { ChatOpenAI }]): [string, Reading] => [
  name,
  async (onText) => {
    const configuration = { baseURL: `${url}/v1` };
    const model = new ChatOpenAI({ model: FRAGILE, apiKey: key, temperature: 0, maxRetries: 0, configuration });
    for await (const { text } of await model.stream(LONG_QUESTION)) if (text !== "") onText();
  },
]);
const ollama = OLLAMA.map(([name, Ollama]): [string, Reading] => [
  name,
  async (onText) => {
    const client = new Ollama({ host: url });
    const stream = await client.chat({ model: FRAGILE, messages, options: { temperature: 0 }, stream: true });
    for await (const { message } of stream) if (message.content !== "") onText();
  },
]);

/** Which start of each deployment is ready. */
async function readyEpochs(): Promise<ReadonlyMap<string, number>> {
  const { deployments } = (await (await fetch(`${url}/cluster/v1/state`)).json()) as ClusterState;
  return new Map(deployments.flatMap(({ model, state, epoch }) => (state === "ready" ? [[model, epoch] as const] : [])));
}

test("a worker that is lost under running streams is told to every client as an error of its own", async () => {
  const readings = [...openAi, ...anthropic, ...aiSdk, ...langChain, ...ollama];
  expect(readings).toHaveLength(FRAGILE_SLOTS);
  const begun = readings.map(() => Promise.withResolvers<void>());
  const ended = readings.map(([, read], at) =>
    read(() => begun[at]?.resolve()).then(
      () => "it ended as if all were well",
      (error: unknown) => (error instanceof Error ? error.message : JSON.stringify(error)),
    ),
  );
  await Promise.all(begun.map(({ promise }, at) => Promise.race([promise, ended[at]])));
  const before = await readyEpochs();
  for (const { pid } of enginesOf(inject("workerPid"))) process.kill(pid, "SIGKILL");
  const told = await Promise.all(ended);
  // The engines that ended were those of every model: all come back.
  const back = async (): Promise<boolean> => {
    const now = await readyEpochs();
    return [...before].every(([model, epoch]) => (now.get(model) ?? 0) > epoch);
  };
  await expect.poll(back).toBe(true);
  for (const [at, [name]] of readings.entries()) expect(told[at], name).toMatch(/\bc\b.*layers \d+-\d+/);
});
