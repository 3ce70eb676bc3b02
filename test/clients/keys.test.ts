import Anthropic, * as anthropicErrors from "@anthropic-ai/sdk";
import OpenAI, * as openAiErrors from "openai";
import { describe, expect, inject, test } from "vitest";
import { EVERY_CLIENT, statusIn } from "./harness/every-client.ts";
import { CAPITAL, MODEL } from "./harness/questions.ts";

const url = inject("openUrl");
const call = { url, model: MODEL, retries: 0 };

async function keyWith(wish: Readonly<Record<string, unknown>>): Promise<string> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${inject("key")}` };
  const made = await fetch(`${url}/cluster/v1/keys/create`, { method: "POST", headers, body: JSON.stringify(wish) });
  return ((await made.json()) as { readonly key: string }).key;
}

describe.each(EVERY_CLIENT)("%s at a node that listens beyond its machine", (_, ask) => {
  test("is answered with a key, and not with another", async () => {
    expect(await ask({ ...call, key: await keyWith({}) })).toBe(CAPITAL.answer);
    const failed: unknown = await ask({ ...call, key: "wrong" }).catch((error: unknown) => error);
    expect(statusIn(failed)).toBe(401);
  });

  test("is told when its key is used up", async () => {
    const key = await keyWith({ requestsPerMinute: 1 });
    expect(await ask({ ...call, key })).toBe(CAPITAL.answer);
    const failed: unknown = await ask({ ...call, key }).catch((error: unknown) => error);
    expect(statusIn(failed)).toBe(429);
  });
});

test("errors are the clients' own", async () => {
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "wrong", maxRetries: 0 });
  await expect(openai.models.list()).rejects.toBeInstanceOf(openAiErrors.AuthenticationError);
  const anthropic = new Anthropic({ baseURL: url, authToken: "wrong", apiKey: null, maxRetries: 0 });
  await expect(anthropic.models.list()).rejects.toBeInstanceOf(anthropicErrors.AuthenticationError);

  const key = await keyWith({ requestsPerMinute: 1 });
  const limited = openai.withOptions({ apiKey: key });
  const body = { model: MODEL, messages: [{ role: "user" as const, content: "x" }], max_tokens: 1 };
  await limited.chat.completions.create(body);
  const failed: unknown = await limited.chat.completions.create(body).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(openAiErrors.RateLimitError);
  expect(Number((failed as InstanceType<typeof openAiErrors.RateLimitError>).headers.get("retry-after"))).toBeGreaterThan(0);
  const tooMuch = anthropic.withOptions({ authToken: key }).messages.create(body);
  await expect(tooMuch).rejects.toBeInstanceOf(anthropicErrors.RateLimitError);
});
