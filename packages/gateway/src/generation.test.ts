import { ClusterdError } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import { CHAT, errorOf, gatewayFor, post, readStream } from "./testing/client.ts";
import { fakeBackend, fakeRoute } from "./testing/fake-backend.ts";
import { engineBody, errorAnswer, streamAnswer, wellBehaved, type ScriptedStream } from "./testing/scripted-engine.ts";

const CHAT_PATH = "/v1/chat/completions";
const STREAM = { ...CHAT, stream: true };

describe("a well-behaved engine", () => {
  test("streams through, byte for byte, with our headers and none of the engine's", async () => {
    const backend = fakeBackend(wellBehaved(["Hel", "lo"]));
    const response = await post(gatewayFor(backend), CHAT_PATH, STREAM);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
    expect(response.headers.get("server")).toBeNull();
    expect(response.headers.get("x-clusterd-node")).toBe("mini-1");
    expect(response.headers.get("x-clusterd-model")).toBe("demo-16l-q8_0");
    expect(response.headers.get("x-request-id")).toMatch(/^[\w-]{36}$/);
    expect(await response.text()).toBe(await streamAnswer({ tokens: ["Hel", "lo"] }).text());
  });

  test("answers whole, by any name of the model", async () => {
    const gateway = gatewayFor(fakeBackend(wellBehaved(["Hel", "lo"])));
    for (const model of ["demo-16l-q8_0", "DEMO-16L-Q8_0", "stable"]) {
      const response = await post(gateway, CHAT_PATH, { ...CHAT, model });
      expect(await response.json()).toMatchObject({ model: "demo-16l-q8_0", choices: [{ message: { content: "Hello" } }] });
      expect(response.headers.get("x-clusterd-model")).toBe("demo-16l-q8_0");
    }
  });

  test("gives log-probabilities beside tools at once, as it does not stream them", async () => {
    const backend = fakeBackend(() => Response.json({ choices: [{ index: 0, message: { content: "x" } }] }));
    const tools = [{ type: "function", function: { name: "f" } }];
    const response = await post(gatewayFor(backend), CHAT_PATH, { ...CHAT, tools, logprobs: true });
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: "x" } }] });
    expect(backend.engineRequests.map((request) => engineBody(request)["stream"])).toEqual([false]);
    for (const answer of ["<html>", "[]", "{}"]) {
      backend.setEngine(() => new Response(answer));
      const refused = await post(gatewayFor(backend), CHAT_PATH, { ...CHAT, tools, logprobs: true });
      expect(await errorOf(refused)).toMatchObject({ status: 503, code: "engine_crashed" });
    }
  });

  test("is asked to do without speculation while that does not pay, and only then", async () => {
    const backend = fakeBackend(wellBehaved(["Hel", "lo"]));
    const gateway = gatewayFor(backend);
    const limits = async (): Promise<unknown[]> => {
      const before = backend.engineRequests.length;
      await (await post(gateway, CHAT_PATH, STREAM)).text();
      await (await post(gateway, CHAT_PATH, { ...CHAT, n: 2 })).text();
      // What a client says of it is left behind, as every unknown field.
      await (await post(gateway, "/v1/completions", { model: CHAT["model"], prompt: "x", "speculative.n_max": 99 })).text();
      return backend.engineRequests.slice(before).map((request) => engineBody(request)["speculative.n_max"]);
    };
    expect(await limits()).toEqual([undefined, undefined, undefined, undefined]);
    backend.setRoutes(fakeRoute({ speculationPaused: true }));
    expect(await limits()).toEqual([0, 0, 0, 0]);
    const metrics = await (await gateway.fetch(new Request("http://localhost/metrics"))).text();
    expect(metrics).toContain('clusterd_speculation_acceptance{model="demo-16l-q8_0",type="ngram",head="12D3KooWhead"} 0.75');
    expect(metrics).toContain('clusterd_speculation_active{model="demo-16l-q8_0",type="ngram",head="12D3KooWhead"} 0');
  });

  test("is logged and counted, without its content", async () => {
    const lines: string[] = [];
    const gateway = gatewayFor(fakeBackend(wellBehaved(["secret"])), { log: (line) => lines.push(line) });
    await (
      await post(gateway, CHAT_PATH, { ...STREAM, stream_options: { include_usage: true } }, { "x-request-id": "abc-1" })
    ).text();
    await post(gateway, CHAT_PATH, { ...CHAT, messages: [{ role: "user", content: "hush" }] });
    await post(gateway, CHAT_PATH, { ...CHAT, model: "no\nsuch" });
    expect(lines[0]).toMatch(
      /^request abc-1 POST \/v1\/chat\/completions model="demo-16l-q8_0" status=200 outcome=answered ms=\d+ first_token_ms=\d+ prompt_tokens=7 completion_tokens=1$/,
    );
    expect(lines).toHaveLength(3);
    expect(lines[2]).toMatch(/status=404 outcome=refused/);
    expect(lines.join()).not.toMatch(/secret|hush|such|\n/);
    const metrics = await (await gateway.fetch(new Request("http://localhost/metrics"))).text();
    expect(metrics).toContain('clusterd_requests_total{route="POST /v1/chat/completions",outcome="answered"} 2');
    expect(metrics).toContain("clusterd_completion_tokens_total 2");
    expect(metrics).toContain("clusterd_generations_in_flight 0");
  });
});

async function failing(script: ScriptedStream, silenceMs = 10_000): Promise<Awaited<ReturnType<typeof readStream>>> {
  const backend = fakeBackend(() => streamAnswer(script));
  return readStream(await post(gatewayFor(backend, { engineSilenceMsMax: silenceMs }), CHAT_PATH, STREAM));
}

describe("an engine that fails", () => {
  test("mid-stream, with a named cause: the tokens so far stand, then the cause, no end mark", async () => {
    const error = new ClusterdError("worker_lost", "The worker on mini-2 (layers 8–15) was lost: killed.");
    const { text, chunks, error: told, done } = await failing({ tokens: ["a", "b"], ending: "reset", error });
    expect(text).toBe("ab");
    expect(told).toEqual({
      message: "The worker on mini-2 (layers 8–15) was lost: killed.",
      type: "server_error",
      param: null,
      code: "worker_lost",
    });
    expect(done).toBe(false);
    expect(chunks.flatMap(({ choices }) => choices).every(({ finish_reason: reason }) => reason === null)).toBe(true);
  });

  test("mid-stream, its cause known a moment later", async () => {
    const backend = fakeBackend(() => streamAnswer({ tokens: ["a"], ending: "reset" }));
    const response = await post(gatewayFor(backend), CHAT_PATH, STREAM);
    setTimeout(
      () => backend.setRoutes(fakeRoute({ phase: "recovering", reason: "worker_lost: mini-2 (layers 8–15) is gone" })),
      50,
    );
    const { error, done } = await readStream(response);
    expect([error?.code, done]).toEqual(["worker_lost", false]);
    expect(error?.message).toContain("mini-2 (layers 8–15) is gone");
    expect(backend.listeners).toBe(0);
  });

  test("mid-stream, its cause never known", async () => {
    const { error, done } = await failing({ tokens: ["a"], ending: "reset" });
    expect([error?.code, done]).toEqual(["engine_crashed", false]);
    expect(error?.message).toContain("mini-1");
  });

  test("by just ending, as a cut stream does", async () => {
    const { text, error, done } = await failing({ tokens: ["a"], ending: "silent end" });
    expect([text, error?.code, done]).toEqual(["a", "engine_crashed", false]);
  });

  test("by sending something that is no event", async () => {
    const { text, error, done } = await failing({ tokens: ["a"], ending: "garble" });
    expect([text, error?.code, done]).toEqual(["a", "engine_crashed", false]);
  });

  test("by its own word, which is passed on in our shape", async () => {
    const { error, done } = await failing({ tokens: ["a"], ending: "engine error" });
    expect(error).toEqual({
      message: "The engine answered 500: Compute error.",
      type: "server_error",
      param: null,
      code: "failed",
    });
    expect(done).toBe(false);
  });

  test("by falling silent between tokens", async () => {
    const { text, error, done } = await failing({ tokens: ["a"], ending: "hang" }, 100);
    expect([text, error?.code, done]).toEqual(["a", "engine_stalled", false]);
  });

  test("before its first byte: a status, and when to try again", async () => {
    const backend = fakeBackend(() => {
      throw new ClusterdError("shards_unreachable", "mini-2 cannot be reached.");
    });
    const response = await post(gatewayFor(backend), CHAT_PATH, STREAM);
    expect(response.headers.get("retry-after")).toBe("5");
    expect(await errorOf(response)).toMatchObject({
      status: 503,
      code: "shards_unreachable",
      message: "mini-2 cannot be reached.",
    });
  });

  test("a whole answer that cannot be read, or breaks off", async () => {
    const half = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Buffer.from('{"choices":['));
        controller.error(new ClusterdError("engine_crashed", "llama-server was killed."));
      },
    });
    for (const answer of [new Response("<html>"), new Response("[]"), new Response(half)]) {
      expect(await errorOf(await post(gatewayFor(fakeBackend(() => answer)), CHAT_PATH, CHAT))).toMatchObject({
        status: 503,
        code: "engine_crashed",
      });
    }
  });
});

async function refusal(
  status: number,
  error: Record<string, unknown>,
  body: unknown = CHAT,
): Promise<Awaited<ReturnType<typeof errorOf>>> {
  return errorOf(await post(gatewayFor(fakeBackend(() => errorAnswer(status, error))), CHAT_PATH, body));
}

describe("what the engine refuses", () => {
  test("a prompt that is too long: 400 with both numbers, for a stream too", async () => {
    const error = {
      code: 400,
      message: "request (12009 tokens) exceeds…",
      type: "exceed_context_size_error",
      n_prompt_tokens: 12009,
      n_ctx: 1024,
    };
    for (const body of [CHAT, STREAM]) {
      const told = await refusal(400, error, body);
      expect(told).toMatchObject({
        status: 400,
        code: "context_length_exceeded",
        param: "messages",
        type: "invalid_request_error",
      });
      expect(told.message).toMatch(/12009.*1024/);
    }
  });

  test("the rest by its kind", async () => {
    expect(await refusal(400, { message: "bad grammar", type: "invalid_request_error" })).toMatchObject({
      status: 400,
      message: "bad grammar",
    });
    expect(await refusal(500, { message: "image input is not supported - hint: mmproj" })).toMatchObject({
      status: 501,
      code: "unsupported",
    });
    expect(await refusal(503, { message: "Loading model" })).toMatchObject({ status: 503, code: "model_not_ready" });
    expect(await refusal(401, { message: "Invalid API Key" })).toMatchObject({ status: 500, code: "failed" });
  });
});

describe("a client that leaves", () => {
  test("ends the engine's work", async () => {
    const backend = fakeBackend(() => streamAnswer({ tokens: ["a"], ending: "hang" }));
    const lines: string[] = [];
    const response = await post(gatewayFor(backend, { log: (line) => lines.push(line) }), CHAT_PATH, STREAM);
    const reader = response.body?.getReader();
    await reader?.read();
    expect(backend.engineRequests[0]?.signal.aborted).toBe(false);
    await reader?.cancel();
    expect(backend.engineRequests[0]?.signal.aborted).toBe(true);
    await expect.poll(() => lines).toEqual([expect.stringContaining("outcome=client_gone")]);
  });

  test("or never reads: it is cut at the limit and the engine's work ends", async () => {
    const flood = Array.from({ length: 300 }, () => "x".repeat(8_000));
    const backend = fakeBackend(() => streamAnswer({ tokens: flood, ending: "hang" }));
    const lines: string[] = [];
    const response = await post(gatewayFor(backend, { log: (line) => lines.push(line) }), CHAT_PATH, STREAM);
    await expect.poll(() => backend.engineRequests[0]?.signal.aborted).toBe(true);
    await expect(response.text()).rejects.toThrow(/too slowly/);
    await expect.poll(() => lines).toEqual([expect.stringContaining("outcome=slow_reader")]);
  });
});

test("closing the gateway tells running streams, and takes no more", async () => {
  const gateway = gatewayFor(fakeBackend(() => streamAnswer({ tokens: ["a"], ending: "hang" })));
  const response = await post(gateway, CHAT_PATH, STREAM);
  gateway.close();
  const { error, done } = await readStream(response);
  expect([error?.code, done]).toEqual(["interrupted", false]);
  expect(await errorOf(await post(gateway, CHAT_PATH, STREAM))).toMatchObject({ status: 503, code: "interrupted" });
});
