import { ClusterdError } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import { chatChunks, chunkBytes, chunksAnswer } from "./testing/chat-chunks.ts";
import { get, gatewayFor, post } from "./testing/client.ts";
import { fakeBackend, fakeRoute } from "./testing/fake-backend.ts";
import { engineBody, errorAnswer, streamAnswer } from "./testing/scripted-engine.ts";

const BODY = { model: "demo-16l-q8_0", max_tokens: 10, messages: [{ role: "user", content: "hello" }] };

interface ErrorBody {
  readonly type: string;
  readonly error: { readonly type: string; readonly message: string; readonly details: { readonly error_code: string } };
  readonly request_id: string;
}

const errorIn = async (response: Response): Promise<ErrorBody> => (await response.json()) as ErrorBody;

test("an answer, whole and streamed, of the engine's chat", async () => {
  const backend = fakeBackend(() => chunksAnswer(chatChunks([{ content: "Pa" }, { content: "ris" }], "stop")));
  const gateway = gatewayFor(backend);
  const whole = await post(gateway, "/v1/messages?beta=true", BODY);
  expect(await whole.json()).toMatchObject({
    type: "message",
    role: "assistant",
    content: [{ type: "text", text: "Paris" }],
    stop_reason: "end_turn",
    usage: { input_tokens: 5, cache_read_input_tokens: 2, output_tokens: 3 },
  });
  const streamed = await post(gateway, "/v1/messages", { ...BODY, stream: true });
  expect(streamed.headers.get("content-type")).toContain("text/event-stream");
  expect((await streamed.text()).match(/event: \w+/g)).toEqual([
    ...["event: message_start", "event: content_block_start", "event: content_block_delta", "event: content_block_delta"],
    ...["event: content_block_stop", "event: message_delta", "event: message_stop"],
  ]);
  expect(backend.engineRequests.map(({ path }) => path)).toEqual(["/v1/chat/completions", "/v1/chat/completions"]);
});

describe("errors", () => {
  test.each([
    ["a model that is not there", { ...BODY, model: "none" }, 404, "not_found_error", "model_not_found"],
    ["a field that is wrong", { ...BODY, max_tokens: "x" }, 400, "invalid_request_error", "invalid_request"],
    ["no JSON", "{", 400, "invalid_request_error", "invalid_request"],
  ])("%s", async (_, body, status, type, code) => {
    const response = await post(gatewayFor(fakeBackend()), "/v1/messages", body, { "x-request-id": "r1" });
    const { error, ...others } = await errorIn(response);
    expect([response.status, error.type, error.details.error_code]).toEqual([status, type, code]);
    expect([others.type, others.request_id, response.headers.get("request-id")]).toEqual(["error", "r1", "r1"]);
  });

  test.each([
    ["engine_crashed", 503, "overloaded_error"],
    ["queue_full", 429, "rate_limit_error"],
    ["unsupported", 501, "invalid_request_error"],
    ["engine_missing", 500, "api_error"],
    ["timeout", 504, "timeout_error"],
  ] as const)("of the engine: %s", async (code, status, type) => {
    const backend = fakeBackend(() => {
      throw new ClusterdError(code, "No.");
    });
    const response = await post(gatewayFor(backend, { log: () => {} }), "/v1/messages", BODY);
    expect([response.status, (await errorIn(response)).error.type]).toEqual([status, type]);
  });

  test("a key that is missing or wrong, on every route of this API", async () => {
    const gateway = gatewayFor(fakeBackend(), { apiKey: "sesame" });
    const wrong = { "x-api-key": "wrong", "anthropic-version": "2023-06-01" };
    for (const response of [await post(gateway, "/v1/messages", BODY), await get(gateway, "/v1/models", wrong)]) {
      expect([response.status, (await errorIn(response)).error.type]).toEqual([401, "authentication_error"]);
    }
    const right = { "x-api-key": "sesame", "anthropic-version": "2023-06-01" };
    expect((await get(gateway, "/v1/models", right)).status).toBe(200);
  });

  test("a prompt that is too long is told in the words that agents look for", async () => {
    const backend = fakeBackend(() =>
      errorAnswer(400, { code: 400, type: "exceed_context_size_error", message: "x", n_prompt_tokens: 2_000, n_ctx: 1_024 }),
    );
    const { error } = await errorIn(await post(gatewayFor(backend), "/v1/messages", BODY));
    expect(error).toMatchObject({ type: "invalid_request_error", details: { error_code: "context_length_exceeded" } });
    expect(error.message).toMatch(/^prompt is too long: 2000 tokens > 1024 maximum\. /);
  });

  test("an engine that fails in its answer ends the stream in an error event", async () => {
    const backend = fakeBackend(() => streamAnswer({ tokens: ["Pa"], ending: "engine error" }));
    const response = await post(gatewayFor(backend), "/v1/messages", { ...BODY, stream: true });
    const text = await response.text();
    const [, data = ""] = /event: error\ndata: (.*)\n\n$/.exec(text) ?? [];
    expect(JSON.parse(data)).toMatchObject({
      type: "error",
      error: { type: "api_error", message: expect.any(String) as string },
    });
    expect(text).not.toContain("message_stop");
  });
});

test("a stream that waits gets pings", async () => {
  const { promise, resolve } = Promise.withResolvers<Response>();
  const backend = fakeBackend((request) => {
    request.onWaiting?.(3);
    return promise;
  });
  const gateway = gatewayFor(backend, { patience: { waitingMs: 1, workingMs: 1, everyMs: 5 } });
  const response = await post(gateway, "/v1/messages", { ...BODY, stream: true });
  resolve(chunksAnswer(chatChunks([{ content: "Paris" }], "stop")));
  const text = await response.text();
  expect(text).toMatch(/^: queued, position 3\nevent: ping\ndata: \{"type":"ping"\}\n\n/);
  expect(text).toContain("event: message_stop");
});

test("the engine's own signs of life are pings", async () => {
  const bytes = chatChunks([{ content: "Paris" }], "stop").map(chunkBytes);
  const events = [Buffer.from(":\n\n"), ...bytes, Buffer.from("data: [DONE]\n\n")];
  const backend = fakeBackend(() => new Response(Buffer.concat(events)));
  const response = await post(gatewayFor(backend), "/v1/messages", { ...BODY, stream: true });
  expect(await response.text()).toMatch(/^event: ping\ndata: \{"type":"ping"\}\n\nevent: message_start/);
});

test.each([false, true])("its tokens are counted (stream: %s)", async (stream) => {
  const lines: string[] = [];
  const backend = fakeBackend(() => chunksAnswer(chatChunks([{ content: "Paris" }], "stop")));
  const gateway = gatewayFor(backend, { log: (line) => lines.push(line) });
  await (await post(gateway, "/v1/messages", { ...BODY, stream })).text();
  await expect.poll(() => lines).toEqual([expect.stringMatching(/prompt_tokens=7 completion_tokens=3/)]);
});

test("tokens are counted by the engine, of the same chat", async () => {
  const backend = fakeBackend(() => Response.json({ input_tokens: 17, object: "response.input_tokens" }));
  const gateway = gatewayFor(backend);
  const { max_tokens: _, ...body } = BODY;
  const response = await post(gateway, "/v1/messages/count_tokens", { ...body, system: "Be kind." });
  expect(await response.json()).toEqual({ input_tokens: 17 });
  const [request] = backend.engineRequests;
  if (request === undefined) throw new Error("nothing was asked");
  expect(request.path).toBe("/v1/chat/completions/input_tokens");
  expect(engineBody(request)["messages"]).toEqual([{ role: "system", content: "Be kind." }, ...BODY.messages]);
  const failed = await post(gateway, "/v1/messages/count_tokens", { ...body, model: "none" });
  expect((await errorIn(failed)).error.type).toBe("not_found_error");
});

test("the list of models has the shape of whose it is", async () => {
  const backend = fakeBackend();
  backend.setRoutes(fakeRoute());
  const gateway = gatewayFor(backend);
  const version = { "anthropic-version": "2023-06-01" };
  const list = await (await get(gateway, "/v1/models", version)).json();
  const model = { type: "model", id: "demo-16l-q8_0", display_name: "demo-16l-q8_0", max_input_tokens: 1024 };
  expect(list).toMatchObject({ data: [model], has_more: false, first_id: "demo-16l-q8_0", last_id: "demo-16l-q8_0" });
  expect(await (await get(gateway, "/v1/models/demo-16l-q8_0", version)).json()).toMatchObject(model);
  expect(await (await get(gateway, "/v1/models")).json()).toMatchObject({ object: "list" });
  expect((await errorIn(await get(gateway, "/v1/models/none", version))).error.type).toBe("not_found_error");
});
