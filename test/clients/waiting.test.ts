import OpenAI, { APIError } from "openai";
import { afterEach, expect, inject, test } from "vitest";
import type { ClusterState } from "../../packages/wire/src/index.ts";
import { EVERY_CLIENT } from "./harness/every-client.ts";
import { SLEEPER } from "./harness/models.ts";
import { CAPITAL } from "./harness/questions.ts";
import { endedAs } from "./harness/watch.ts";

const url = inject("url");
/** Who says so is told at once that a model has to be loaded first; others wait a moment before they are. */
const IMPATIENT = { prefer: "wait=0" };
/** A slow machine may take so many times longer than it foretold. */
const RETRIES = 20;
const PATIENT = EVERY_CLIENT.filter(([name]) => name.startsWith("ollama"));
const OTHERS = EVERY_CLIENT.filter(([name]) => !name.startsWith("ollama"));

const call = { url, key: "none", model: SLEEPER, headers: IMPATIENT };
const chat = { model: SLEEPER, temperature: 0, messages: [{ role: "user" as const, content: CAPITAL.question }] };

async function isDeployed(): Promise<boolean> {
  const state = (await (await fetch(`${url}/cluster/v1/state`)).json()) as ClusterState;
  return state.deployments.some(({ model }) => model === SLEEPER);
}

afterEach(async () => {
  const headers = { "content-type": "application/json" };
  await fetch(`${url}/cluster/v1/unload`, { method: "POST", headers, body: JSON.stringify({ model: SLEEPER }) });
  await expect.poll(isDeployed).toBe(false);
});

test.each(OTHERS)("%s comes back for a model that has to be loaded first, and is answered", async (_, ask) => {
  const before = await endedAs("failed");
  expect(await ask({ ...call, retries: RETRIES })).toBe(CAPITAL.answer);
  expect(await endedAs("failed")).toBeGreaterThan(before);
});

test.each(PATIENT)("%s waits for it", async (_, ask) => {
  expect(await ask({ ...call, headers: {}, retries: 0 })).toBe(CAPITAL.answer);
});

test("one that is turned away is told when to come back", async () => {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, defaultHeaders: IMPATIENT });
  const failed: unknown = await client.chat.completions.create(chat).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(APIError);
  expect(failed).toMatchObject({ status: 503, code: "model_not_ready", param: "model" });
  expect(Number((failed as InstanceType<typeof APIError>).headers?.get("retry-after"))).toBeGreaterThan(0);
});

test("a stream waits for it", async () => {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const chunks = await Array.fromAsync(await client.chat.completions.create({ ...chat, stream: true }));
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(CAPITAL.answer);
});
