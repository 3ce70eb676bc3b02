import { ClusterdError, type PullEvent } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import { chatChunks, chunkBytes, chunksAnswer } from "./testing/chat-chunks.ts";
import { BASE, get, gatewayFor, post } from "./testing/client.ts";
import { fakeBackend, fakeRoute, type FakeBackend } from "./testing/fake-backend.ts";
import { engineBody, streamAnswer } from "./testing/scripted-engine.ts";

const MODEL = "demo-16l-q8_0";
const BODY = { model: MODEL, messages: [{ role: "user", content: "hello" }] };
const answering = (): FakeBackend => fakeBackend(() => chunksAnswer(chatChunks([{ content: "Pa" }, { content: "ris" }], "stop")));

const linesOf = async (response: Response): Promise<Record<string, unknown>[]> =>
  (await response.text())
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test("a chat streams lines of JSON by itself, and is whole where it is to be", async () => {
  const gateway = gatewayFor(answering());
  const streamed = await post(gateway, "/api/chat", BODY);
  expect(streamed.headers.get("content-type")).toContain("application/x-ndjson");
  const lines = await linesOf(streamed);
  expect(lines.map(({ done }) => done)).toEqual([false, false, true]);
  const whole = await post(gateway, "/api/chat", { ...BODY, stream: false });
  expect(await whole.json()).toMatchObject({ message: { role: "assistant", content: "Paris" }, done: true, done_reason: "stop" });
});

test("the engine's own signs of life are lines too", async () => {
  const bytes = chatChunks([{ content: "Paris" }], "stop").map(chunkBytes);
  const events = [Buffer.from(":\n\n"), ...bytes, Buffer.from("data: [DONE]\n\n")];
  const backend = fakeBackend(() => new Response(Buffer.concat(events)));
  const lines = await linesOf(await post(gatewayFor(backend), "/api/generate", { model: MODEL, prompt: "hello" }));
  expect(lines.map(({ response, done }) => [response, done])).toEqual([
    ["", false],
    ["Paris", false],
    ["", true],
  ]);
});

test.each([`${MODEL}:latest`, `hf.co/${MODEL}`, MODEL.toUpperCase(), "stable"])(
  "the name %s comes back as it was sent",
  async (model) => {
    const backend = answering();
    const response = await post(gatewayFor(backend), "/api/generate", { model, prompt: "hello", stream: false });
    expect(await response.json()).toMatchObject({ model, response: "Paris" });
    const [request] = backend.engineRequests;
    expect(request === undefined ? null : engineBody(request)["model"]).toBe(MODEL);
  },
);

describe("errors", () => {
  test.each([
    ["a model that is not there", "/api/chat", { ...BODY, model: "none:latest" }, 404],
    ["no model", "/api/generate", { prompt: "x" }, 400],
    ["a field that is wrong", "/api/chat", { ...BODY, stream: "yes" }, 400],
    ["embeddings of a model that makes none", "/api/embed", { model: MODEL, input: "x" }, 501],
    ["a path that is not there", "/api/unknown", {}, 404],
    ["making a model", "/api/create", { model: "x", from: MODEL }, 501],
    ["copying a model", "/api/copy", { source: MODEL, destination: "x" }, 501],
    ["publishing a model", "/api/push", { model: MODEL }, 501],
    ["bytes of a model", "/api/blobs/sha256:00", {}, 501],
  ])("%s", async (_, path, body, status) => {
    const response = await post(gatewayFor(answering()), path, body);
    expect([response.status, await response.json()]).toEqual([status, { error: expect.any(String) as string }]);
  });

  test("deleting a model says what does", async () => {
    const response = await gatewayFor(answering()).fetch(new Request(`${BASE}/api/delete`, { method: "DELETE" }));
    expect([response.status, await response.json()]).toEqual([501, { error: expect.stringContaining("clusterd rm") as string }]);
  });

  test("in an answer it ends the stream as a line", async () => {
    const backend = fakeBackend(() => streamAnswer({ tokens: ["Pa"], ending: "engine error" }));
    const lines = await linesOf(await post(gatewayFor(backend), "/api/chat", BODY));
    expect(lines.map((line) => Object.keys(line).includes("done"))).toEqual([true, false]);
    expect(lines.at(-1)).toEqual({ error: expect.stringContaining("Compute error") as string });
  });

  test("a key that is missing", async () => {
    const response = await get(gatewayFor(answering(), { apiKey: "sesame" }), "/api/tags");
    expect([response.status, await response.json()]).toEqual([401, { error: expect.any(String) as string }]);
  });
});

describe("a request for a model alone", () => {
  test.each([
    ["/api/generate", { model: MODEL }, { response: "" }],
    ["/api/generate", { model: MODEL, prompt: null }, { response: "" }],
    ["/api/chat", { model: MODEL, messages: [] }, { message: { role: "assistant", content: "" } }],
  ])("%s loads it", async (path, body, said) => {
    const backend = answering();
    for (const stream of [true, false]) {
      const [line] = await linesOf(await post(gatewayFor(backend), path, { ...body, stream, keep_alive: "10m" }));
      expect(line).toMatchObject({ ...said, model: MODEL, done: true, done_reason: "load" });
    }
    expect(backend.engineRequests).toEqual([]);
    expect(backend.calls.filter(([name]) => name === "keepAlive")).toEqual([
      ["keepAlive", "d1", 600],
      ["keepAlive", "d1", 600],
    ]);
  });

  test("is told how far it is while it streams", async () => {
    const backend = answering();
    backend.setRoutes(fakeRoute({ phase: "loading" }));
    const gateway = gatewayFor(backend, { patience: { waitingMs: 1, workingMs: 1, everyMs: 5 } });
    const response = await post(gateway, "/api/generate", { model: MODEL });
    backend.setRoutes(fakeRoute());
    const lines = await linesOf(response);
    expect(lines[0]).toMatchObject({ done: false, status: expect.stringContaining("loading") as string });
    expect(lines.at(-1)).toMatchObject({ done: true, done_reason: "load" });
  });

  test("does not unload what a person has loaded", async () => {
    const backend = answering();
    const response = await post(gatewayFor(backend), "/api/generate", { model: MODEL, keep_alive: 0 });
    expect([response.status, await response.json()]).toEqual([
      501,
      { error: expect.stringContaining("clusterd unload") as string },
    ]);
    expect(backend.calls).toEqual([]);
  });
});

test("an answer's keep_alive is passed on", async () => {
  const backend = answering();
  await (await post(gatewayFor(backend), "/api/chat", { ...BODY, keep_alive: -1 })).text();
  expect(backend.calls).toContainEqual(["keepAlive", "d1", null]);
});

test("what there is, what runs, and which version is spoken", async () => {
  const gateway = gatewayFor(answering());
  expect(await (await get(gateway, "/api/tags")).json()).toMatchObject({
    models: expect.arrayContaining([expect.objectContaining({ name: MODEL, model: MODEL })]) as unknown,
  });
  const running = await (await get(gateway, "/api/ps")).json();
  expect(running).toMatchObject({
    models: [{ name: MODEL, size: 400, size_vram: 0, context_length: 1024, expires_at: "9999-12-31T23:59:59Z" }],
  });
  expect(await (await get(gateway, "/api/version")).json()).toEqual({
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
  });
});

test("a model is shown with what the engine says of it", async () => {
  const backend = fakeBackend(({ path }) =>
    path === "/props"
      ? Response.json({
          chat_template: "{% if enable_thinking %}",
          chat_template_caps: { supports_tools: true },
          modalities: { vision: true },
        })
      : Response.json({ data: [{ meta: { n_params: 7_240_000_000, n_embd: 4096 } }] }),
  );
  const shown = await (await post(gatewayFor(backend), "/api/show", { name: `${MODEL}:latest` })).json();
  expect(shown).toMatchObject({
    capabilities: ["completion", "tools", "vision", "thinking"],
    parameters: "num_ctx 1024",
    details: { parameter_size: "7.2B", format: "gguf" },
    model_info: { "general.parameter_count": 7_240_000_000 },
  });
});

describe("a pull", () => {
  function pulling(...events: readonly PullEvent[]): FakeBackend {
    const backend = answering();
    return Object.assign(backend, {
      pulls: {
        ...backend.pulls,
        follow: async function* (ref: string) {
          (backend.calls as unknown[]).push(["pull", ref]);
          yield* events;
        },
      },
    });
  }
  const progress: PullEvent = {
    event: "progress",
    step: "fetching",
    bytes: 5,
    totalBytes: 10,
    bytesPerSecond: 1,
    secondsLeft: 5,
  };
  const done: PullEvent = { event: "done", model: "x", path: "/x", bytes: 10, sha256: "00" };
  const failed: PullEvent = { event: "failed", error: { code: "not_found", message: "There is no such model.", next: null } };

  test("of a model that is there is done", async () => {
    const backend = pulling();
    expect(await linesOf(await post(gatewayFor(backend), "/api/pull", { model: `${MODEL}:latest` }))).toEqual([
      { status: "success" },
    ]);
    expect(backend.calls).toEqual([]);
  });

  test("of another is told of, to its end", async () => {
    const backend = pulling(progress, done);
    const lines = await linesOf(await post(gatewayFor(backend), "/api/pull", { model: "hf.co/o/r:Q4_K_M" }));
    expect(lines).toEqual([expect.objectContaining({ total: 10, completed: 5 }), { status: "success" }]);
    const whole = await post(gatewayFor(pulling(progress, done)), "/api/pull", { model: "hf.co/o/r", stream: false });
    expect(await whole.json()).toEqual({ status: "success" });
    expect(backend.calls).toEqual([["pull", "hf:o/r:Q4_K_M"]]);
  });

  test("that fails says so, with a status while nothing has been said", async () => {
    const first = await post(gatewayFor(pulling(failed)), "/api/pull", { model: "x" });
    expect([first.status, await first.json()]).toEqual([404, { error: "There is no such model." }]);
    const later = await post(gatewayFor(pulling(progress, failed)), "/api/pull", { model: "x" });
    expect((await linesOf(later)).at(-1)).toEqual({ error: "There is no such model." });
  });

  test("that cannot begin says why", async () => {
    const backend = answering();
    Object.assign(backend, {
      pulls: {
        follow: () => {
          throw new ClusterdError("unsupported", "Nothing is pulled here.");
        },
      },
    });
    expect((await post(gatewayFor(backend), "/api/pull", { model: "x" })).status).toBe(501);
  });
});
