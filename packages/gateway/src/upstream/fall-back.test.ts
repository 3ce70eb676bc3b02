import { ClusterdError, type ErrorCode } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import { CHAT, errorOf, gatewayFor, get, post, readStream } from "../testing/client.ts";
import { fakeBackend, fakeRoute } from "../testing/fake-backend.ts";
import { farAnswer, startUpstream } from "../testing/fake-upstream.ts";
import { streamAnswer, wellBehaved } from "../testing/scripted-engine.ts";

const FAR = { ...CHAT, model: "far-model" };
const PATH = "/v1/chat/completions";

test("a model that is not here is asked for at its upstream: checked fields only, and the answer says where it is from", async () => {
  await using far = await startUpstream(farAnswer(["It", " is", " far."]));
  const lines: string[] = [];
  const gateway = gatewayFor(fakeBackend(), { upstreams: [far.as()], log: (line) => lines.push(line) });
  const response = await post(
    gateway,
    PATH,
    { ...FAR, max_tokens: 5, top_k: 3, n_discard: -1, user: "me" },
    { authorization: "Bearer mine", cookie: "mine=1" },
  );
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({
    object: "chat.completion",
    model: "gpt-far-2026",
    choices: [{ message: { role: "assistant", content: "It is far." }, finish_reason: "stop" }],
    usage: { prompt_tokens: 11, completion_tokens: 3 },
  });
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "x-clusterd-upstream": "cloud",
    "x-clusterd-model": "Far-Model",
    "x-clusterd-upstream-model": "gpt-far",
    "x-clusterd-upstream-left-out": "top_k",
  });
  expect([response.headers.get("x-far"), response.headers.get("set-cookie")]).toEqual([null, null]);
  const [sent] = far.requests;
  expect(sent?.path).toBe("/v1/chat/completions");
  expect(sent?.body).toEqual({
    model: "gpt-far",
    messages: CHAT["messages"],
    max_tokens: 5,
    stream: true,
    stream_options: { include_usage: true },
  });
  expect(sent?.headers).toMatchObject({ authorization: "Bearer sk-secret", "x-clusterd-forwarded": "1" });
  expect(sent?.headers.cookie).toBe(undefined);
  expect(lines.join()).toMatch(
    /model="Far-Model" upstream="cloud" status=200 outcome=answered .*prompt_tokens=11 completion_tokens=3/,
  );
  expect(lines.join()).not.toMatch(/sk-secret/);
  const metrics = await (await get(gateway, "/metrics")).text();
  expect(metrics).toContain('clusterd_upstream_requests_total{upstream="cloud",outcome="answered"} 1');
});

test("a stream: its events in the engine's form, without comments, and without a count nobody asked for", async () => {
  await using far = await startUpstream(farAnswer(["a", "b"]));
  const gateway = gatewayFor(fakeBackend(), { upstreams: [far.as({ fields: ["top_k"], tokenLimit: "max_completion_tokens" })] });
  const plain = await post(gateway, PATH, { ...FAR, stream: true, top_k: 3, max_tokens: 9 });
  expect(plain.headers.get("x-clusterd-upstream")).toBe("cloud");
  expect(plain.headers.get("x-clusterd-upstream-left-out")).toBe(null);
  const text = await plain.clone().text();
  expect(text).not.toMatch(/PROCESSING|\r|"usage":\{/);
  expect(await readStream(plain)).toMatchObject({ text: "ab", done: true, error: null });
  const counted = await readStream(await post(gateway, PATH, { ...FAR, stream: true, stream_options: { include_usage: true } }));
  expect(counted.chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 11, completion_tokens: 2 });
  expect(far.requests[0]?.body).toMatchObject({ top_k: 3, max_completion_tokens: 9 });
});

describe("requests that stay", () => {
  test.each([
    ["a header says never", { "x-clusterd-upstream": "never" }],
    ["it has come from another cluster's gateway", { "x-clusterd-forwarded": "1" }],
  ])("%s", async (_, headers) => {
    await using far = await startUpstream(farAnswer(["x"]));
    const gateway = gatewayFor(fakeBackend(), { upstreams: [far.as()] });
    const refused = await post(gateway, PATH, FAR, headers);
    expect(refused.headers.get("x-clusterd-upstream")).toBe(null);
    expect(await errorOf(refused)).toMatchObject({ status: 404, code: "model_not_found" });
    expect(far.requests).toHaveLength(0);
    // The control: without the header it goes out.
    expect((await post(gateway, PATH, FAR)).status).toBe(200);
  });

  test("those of a private key", async () => {
    await using far = await startUpstream(farAnswer(["x"]));
    const backend = fakeBackend();
    const gateway = gatewayFor(backend, { upstreams: [far.as()] });
    const limits = { models: null, requestsPerMinute: null, tokensPerDay: null, mayControl: false };
    const hidden = await backend.keys.create({ ...limits, name: "hidden", isPrivate: true });
    const open = await backend.keys.create({ ...limits, name: "open", isPrivate: false });
    const asked = (key: string): Promise<Response> => post(gateway, PATH, FAR, { authorization: `Bearer ${key}` });
    expect(await errorOf(await asked(hidden.key))).toMatchObject({ status: 404 });
    expect(far.requests).toHaveLength(0);
    expect((await asked(open.key)).status).toBe(200);
  });

  test("models that no upstream is named for, and requests that are no good", async () => {
    await using far = await startUpstream(farAnswer(["x"]));
    const gateway = gatewayFor(fakeBackend(), { upstreams: [far.as()] });
    expect((await post(gateway, PATH, { ...CHAT, model: "gpt-far" })).status).toBe(404);
    expect((await post(gateway, PATH, { ...FAR, temperature: 9 })).status).toBe(400);
    expect((await post(gateway, PATH, FAR, { "x-clusterd-upstream": "always" })).status).toBe(400);
    expect((await post(gateway, PATH, FAR, { "x-clusterd-forwarded": "1, 1" })).status).toBe(508);
    expect((await post(gateway, "/v1/completions", { model: "far-model", prompt: "a", logprobs: 2 })).status).toBe(404);
    expect(far.requests).toHaveLength(0);
  });
});

const HERE = new Map([["demo-16l-q8_0", "gpt-far"]]);

describe("what the cluster has but cannot serve", () => {
  test.each<readonly [ErrorCode, boolean]>([
    ["queue_full", true],
    ["worker_lost", true],
    ["engine_crashed", true],
    ["engine_stalled", true],
    ["shards_unreachable", true],
    ["context_length_exceeded", false],
    ["invalid_request", false],
    ["unsupported", false],
    ["interrupted", false],
  ])("%s: asked for elsewhere: %s", async (code, goes) => {
    await using far = await startUpstream(farAnswer(["x"]));
    const backend = fakeBackend(() => Promise.reject(new ClusterdError(code, "not now")));
    const gateway = gatewayFor(backend, { upstreams: [far.as({ models: HERE })] });
    for (const stream of [false, true]) {
      const response = await post(gateway, PATH, { ...CHAT, stream });
      expect([response.status === 200, response.headers.get("x-clusterd-upstream")]).toEqual([goes, goes ? "cloud" : null]);
      await response.text();
    }
    expect(far.requests).toHaveLength(goes ? 2 : 0);
  });

  test("a deployment that failed", async () => {
    await using far = await startUpstream(farAnswer(["x"]));
    const backend = fakeBackend(wellBehaved(["here"]));
    const gateway = gatewayFor(backend, { upstreams: [far.as({ models: HERE })] });
    const from = async (): Promise<string | null> => (await post(gateway, PATH, CHAT)).headers.get("x-clusterd-upstream");
    expect(await from()).toBe(null);
    backend.setRoutes(fakeRoute({ phase: "failed", reason: "does_not_fit: short by 6 bytes" }));
    expect(await from()).toBe("cloud");
  });

  test("but not an answer that has begun", async () => {
    await using far = await startUpstream(farAnswer(["x"]));
    const error = new ClusterdError("worker_lost", "The worker on mini-2 was lost.");
    const backend = fakeBackend(() => streamAnswer({ tokens: ["a"], ending: "reset", error }));
    const gateway = gatewayFor(backend, { upstreams: [far.as({ models: HERE })] });
    const begun = await post(gateway, PATH, { ...CHAT, stream: true });
    expect(await readStream(begun)).toMatchObject({ text: "a", error: { code: "worker_lost" }, done: false });
    expect(far.requests).toHaveLength(0);
    // Of an answer that does not stream nothing has been sent.
    expect((await post(gateway, PATH, CHAT)).headers.get("x-clusterd-upstream")).toBe("cloud");
  });

  test("nor a stream whose waiting has been told of: its headers are out", async () => {
    await using far = await startUpstream(farAnswer(["x"]));
    const { promise, reject } = Promise.withResolvers<Response>();
    const backend = fakeBackend(() => promise);
    const gateway = gatewayFor(backend, {
      upstreams: [far.as({ models: HERE })],
      patience: { waitingMs: 1, workingMs: 1, everyMs: 1_000 },
    });
    const begun = await post(gateway, PATH, { ...CHAT, stream: true });
    reject(new ClusterdError("worker_lost", "The worker on mini-2 was lost."));
    expect(await readStream(begun)).toMatchObject({ error: { code: "worker_lost" } });
    expect(far.requests).toHaveLength(0);
  });
});

describe("the other APIs' chats are answered in their own form", () => {
  const messages = [{ role: "user", content: "hello" }];
  test.each<readonly [string, object, RegExp, RegExp]>([
    ["/v1/messages", { max_tokens: 9, messages }, /"type":"message".*"text":"ab".*"output_tokens":2/s, /event: message_stop/],
    ["/api/chat", { messages }, /"content":"ab".*"eval_count":2/s, /"done":true/],
    ["/v1/responses", { input: "hello" }, /"text":"ab".*"output_tokens":2/s, /event: response\.completed/],
  ])("%s", async (path, body, whole, end) => {
    await using far = await startUpstream(farAnswer(["a", "b"]));
    const gateway = gatewayFor(fakeBackend(), { upstreams: [far.as()] });
    const atOnce = await post(gateway, path, { model: "far-model", stream: false, ...body });
    expect([atOnce.status, atOnce.headers.get("x-clusterd-upstream")]).toEqual([200, "cloud"]);
    expect(await atOnce.text()).toMatch(whole);
    const stream = await post(gateway, path, { model: "far-model", stream: true, ...body });
    expect(stream.headers.get("x-clusterd-upstream")).toBe("cloud");
    expect(await stream.text()).toMatch(end);
    expect(far.requests.map(({ path: asked }) => asked)).toEqual(["/v1/chat/completions", "/v1/chat/completions"]);
  });
});

test("embeddings", async () => {
  const embedding = Buffer.from(new Float32Array([1, -2]).buffer).toString("base64");
  await using far = await startUpstream((answer) => {
    answer.setHeader("content-type", "application/json");
    answer.end(
      JSON.stringify({
        object: "list",
        model: "far",
        data: [{ object: "embedding", index: 0, embedding }],
        usage: { prompt_tokens: 1 },
      }),
    );
  });
  const gateway = gatewayFor(fakeBackend(), { upstreams: [far.as()] });
  const response = await post(gateway, "/v1/embeddings", { model: "far-model", input: "a" });
  expect(await response.json()).toMatchObject({ data: [{ embedding: [1, -2] }] });
  expect(far.requests[0]).toMatchObject({ path: "/v1/embeddings", body: { model: "gpt-far", input: ["a"] } });
});

describe("an upstream that fails", () => {
  test.each([
    [400, { error: { message: "Too long for sk-secret." } }, /answered 400: Too long for …\.$/, "false"],
    [401, { error: { message: "Incorrect key sk-s***" } }, /answered 401\.$/, "false"],
    [429, { error: { message: "Slow down" } }, /answered 429: Slow down\.$/, null],
    [500, { error: { message: "secrets" } }, /answered 500\.$/, null],
    [302, {}, /answered 302, a redirect, which is not followed\.$/, null],
  ])("status %i", async (status, body, message, retry) => {
    await using elsewhere = await startUpstream(farAnswer(["x"]));
    await using far = await startUpstream((answer) => {
      answer.writeHead(status, { location: `${elsewhere.url}/chat/completions`, "retry-after": "99" });
      answer.end(JSON.stringify(body));
    });
    const gateway = gatewayFor(fakeBackend(), { upstreams: [far.as()] });
    for (const stream of [false, true]) {
      const response = await post(gateway, PATH, { ...FAR, stream });
      expect([response.headers.get("x-should-retry"), response.headers.get("retry-after")]).toEqual([retry, null]);
      const error = await errorOf(response);
      expect(error).toMatchObject({ status: 502, code: "upstream_failed" });
      expect(error.message).toMatch(message);
      // Both reasons are told.
      expect(error.message).toMatch(/^There is no model "far-model" here/);
    }
    expect(elsewhere.requests).toHaveLength(0);
  });

  test("nobody there", async () => {
    const far = await startUpstream(farAnswer(["x"]));
    await far[Symbol.asyncDispose]();
    const gateway = gatewayFor(fakeBackend(), { upstreams: [far.as()] });
    const error = await errorOf(await post(gateway, PATH, FAR));
    expect(error).toMatchObject({ status: 502, code: "upstream_failed" });
    expect(error.message).toMatch(/The upstream cloud could not be asked: .*ECONNREFUSED/);
  });

  test.each([
    ["a reset", (end: () => void) => end(), /^The upstream cloud broke off its answer\.$/],
    ["an end without an end mark", null, /^The upstream cloud broke off its answer\.$/],
    ["its own error", `data: {"error":{"message":"overloaded"}}\n\n`, /^The upstream cloud broke off its answer: overloaded$/],
    ["what is no event", `data: <html>\n\n`, /^The upstream cloud sent something unreadable\.$/],
    ["an endless event", `data: ${"x".repeat(5 * 1024 * 1024)}`, /more than 4194304 bytes/],
  ])("within its stream: %s", async (_, ending, message) => {
    await using far = await startUpstream((answer) => {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      answer.write('data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n');
      if (typeof ending === "function") setTimeout(() => ending(() => answer.destroy()), 20);
      else if (ending === null) answer.end();
      else answer.write(ending);
    });
    const gateway = gatewayFor(fakeBackend(), { upstreams: [far.as()] });
    const { text, error, done } = await readStream(await post(gateway, PATH, { ...FAR, stream: true }));
    expect([text, error?.code, done]).toEqual(["a", "upstream_failed", false]);
    expect(error?.message).toMatch(message);
    await expect.poll(() => far.cut).toBe(ending === null ? 0 : 1);
  });
});

test("a client that goes ends the exchange", async () => {
  await using far = await startUpstream((answer) => {
    answer.writeHead(200, { "content-type": "text/event-stream" });
    answer.write('data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n');
  });
  const gateway = gatewayFor(fakeBackend(), { upstreams: [far.as()] });
  const response = await post(gateway, PATH, { ...FAR, stream: true });
  const reader = response.body?.getReader();
  await reader?.read();
  expect(far.cut).toBe(0);
  await reader?.cancel();
  await expect.poll(() => far.cut).toBe(1);
});
