import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureEngine, startHead, type Head } from "../../packages/engine/src/index.ts";
import { startGateway, type RunningGateway } from "../../packages/gateway/src/index.ts";
import { engineBackend } from "./engine-backend.ts";

const MODEL = "demo-16l-q8_0";
const PATH = fileURLToPath(new URL(`../../models/${MODEL}.gguf`, import.meta.url));
const CONTEXT = 256;
const LAYERS = 16;
const LONG = "hello there friend ".repeat(400);
const words = (count: number): string => "friend ".repeat(count);

let head: Head;
let gateway: RunningGateway;

beforeAll(async () => {
  const { llamaServer } = await ensureEngine();
  head = await startHead({
    engine: { llamaServer },
    modelPath: PATH,
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
  gateway = await startGateway({
    backend: engineBackend(head, { model: MODEL, context: CONTEXT, slots: 2 }),
    apiKey: null,
    assetsDir: null,
    allowedHosts: [],
    allowedOrigins: [],
    host: "127.0.0.1",
    port: 0,
  });
});

afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await head?.[Symbol.asyncDispose]();
});

const messages = (content: string): object => ({ messages: [{ role: "user", content }] });

/** Every route that generates: its body for a prompt, and how it says that an answer was cut. */
const ROUTES: readonly (readonly [path: string, body: (prompt: string) => object, ended: RegExp])[] = [
  ["/v1/chat/completions", (prompt) => ({ ...messages(prompt), max_tokens: 9_999 }), /"finish_reason":"length"/],
  ["/v1/completions", (prompt) => ({ prompt, max_tokens: 9_999 }), /"finish_reason":"length"/],
  ["/v1/responses", (input) => ({ input, max_output_tokens: 9_999 }), /"incomplete_details":\{"reason":"max_output_tokens"\}/],
  ["/v1/messages", (prompt) => ({ ...messages(prompt), max_tokens: 9_999 }), /"stop_reason":"model_context_window_exceeded"/],
  ["/api/chat", (prompt) => ({ ...messages(prompt), options: { num_predict: -1 } }), /"done_reason":"length"/],
  ["/api/generate", (prompt) => ({ prompt, options: { num_predict: -1 } }), /"done_reason":"length"/],
];

async function ask(path: string, body: object): Promise<Response> {
  const headers = {
    "content-type": "application/json",
    ...(path === "/v1/messages" ? { "anthropic-version": "2023-06-01" } : {}),
  };
  const json = JSON.stringify({ model: MODEL, temperature: 0, ...body });
  return fetch(gateway.url + path, { method: "POST", headers, body: json });
}

const known = new Map<string, number>();
/** How many words a prompt may have. */
async function mostWords(path: string, body: (prompt: string) => object): Promise<number> {
  const found = known.get(path);
  if (found !== undefined) return found;
  let [fits, beyond] = [1, CONTEXT * 2];
  while (beyond - fits > 1) {
    const middle = (fits + beyond) >> 1;
    const response = await ask(path, { ...body(words(middle)), stream: false });
    await response.text();
    if (response.ok) fits = middle;
    else beyond = middle;
  }
  known.set(path, fits);
  return fits;
}

describe.each([false, true])("stream: %s", (stream) => {
  test.each(ROUTES)("%s: a prompt beyond the context is refused with both numbers, before the first byte", async (path, body) => {
    const response = await ask(path, { ...body(LONG), stream });
    expect(response.status).toBe(400);
    expect(response.headers.get("content-type")).toContain("application/json");
    const text = await response.text();
    expect(text).toMatch(new RegExp(`The prompt has \\d{3,} tokens.*a context of ${CONTEXT} tokens`));
    if (path.startsWith("/v1/") && path !== "/v1/messages") expect(text).toContain('"code":"context_length_exceeded"');
  });

  test.each(ROUTES)("%s: an answer that comes to the context's end says so", async (path, body, ended) => {
    // There is room for a token or two.
    const fits = await mostWords(path, body);
    const response = await ask(path, { ...body(words(fits)), stream });
    expect(response.status).toBe(200);
    expect(await response.text()).toMatch(ended);
    expect((await ask(path, { ...body(words(fits + 1)), stream })).status).toBe(400);
  });
});
