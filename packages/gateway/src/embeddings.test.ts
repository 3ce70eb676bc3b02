import { fc, test as property } from "@fast-check/vitest";
import { describe, expect, test } from "vitest";
import { embeddingRequest, floatsOf } from "./request/embedding-request.ts";
import { errorOf, gatewayFor, post } from "./testing/client.ts";
import { fakeBackend, fakeRoute } from "./testing/fake-backend.ts";

const packed = (...numbers: readonly number[]): string => Buffer.from(new Float32Array(numbers).buffer).toString("base64");

function embedder(script?: Parameters<typeof fakeBackend>[0]) {
  const backend = fakeBackend(
    script ??
      (() =>
        Response.json({
          object: "list",
          model: "m",
          data: [{ object: "embedding", index: 0, embedding: packed(0.5, -0.25), encoding_format: "base64" }],
          usage: { prompt_tokens: 3, total_tokens: 3 },
        })),
  );
  backend.setRoutes(fakeRoute({ embeddings: true }));
  return { backend, gateway: gatewayFor(backend) };
}

const BODY = { model: "demo-16l-q8_0", input: "hello" };

describe("/v1/embeddings", () => {
  test("floats by default, packed where asked for; one request of the engine for the whole batch", async () => {
    const { backend, gateway } = embedder();
    const plain = (await (await post(gateway, "/v1/embeddings", { ...BODY, input: ["a", [1, 2]], user: "u" })).json()) as {
      data: unknown[];
      usage: unknown;
    };
    expect(plain.data).toEqual([{ object: "embedding", index: 0, embedding: [0.5, -0.25] }]);
    expect(plain.usage).toEqual({ prompt_tokens: 3, total_tokens: 3 });
    const wanted = { ...BODY, encoding_format: "base64" };
    const base64 = (await (await post(gateway, "/v1/embeddings", wanted)).json()) as { data: { embedding: string }[] };
    expect(base64.data[0]?.embedding).toBe(packed(0.5, -0.25));
    expect(backend.engineRequests.map(({ path, body }) => [path, JSON.parse(body ?? "")])).toEqual([
      ["/v1/embeddings", { input: ["a", [1, 2]], encoding_format: "base64", model: BODY.model, stream: false }],
      ["/v1/embeddings", { input: ["hello"], encoding_format: "base64", model: BODY.model, stream: false }],
    ]);
  });

  test.each([
    [{ input: undefined }, "input"],
    [{ input: [] }, "input"],
    [{ input: {} }, "input"],
    [{ input: ["a", []] }, "input[1]"],
    [{ input: ["a", 1] }, "input[1]"],
    [{ input: Array.from({ length: 2049 }, () => "a") }, "input"],
    [{ encoding_format: "int8" }, "encoding_format"],
    [{ dimensions: 256 }, "dimensions"],
    [{ stream: true }, "stream"],
  ])("%o is refused by name, without asking the engine", async (change, param) => {
    const { backend, gateway } = embedder();
    const error = await errorOf(await post(gateway, "/v1/embeddings", { ...BODY, ...change }));
    expect(error).toMatchObject({ status: 400, param, code: "invalid_request" });
    expect(backend.engineRequests).toEqual([]);
  });

  test("a model does what it is made for, and nothing else", async () => {
    const { gateway } = embedder();
    const chat = { model: BODY.model, messages: [{ role: "user", content: "hi" }] };
    const refused = { status: 501, code: "unsupported", param: "model" };
    expect(await errorOf(await post(gateway, "/v1/chat/completions", chat))).toMatchObject(refused);
    expect(await errorOf(await post(gateway, "/v1/completions", { model: BODY.model, prompt: "hi" }))).toMatchObject(refused);
    expect(await errorOf(await post(gatewayFor(fakeBackend()), "/v1/embeddings", BODY))).toMatchObject(refused);
  });

  test.each([
    "input (2003 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
    "input (2003 tokens) is larger than the max context size (512 tokens). skipping",
  ])("%s: a text that is too long, with both numbers", async (message) => {
    const { gateway } = embedder(() => Response.json({ error: { code: 500, message, type: "server_error" } }, { status: 500 }));
    const error = await errorOf(await post(gateway, "/v1/embeddings", BODY));
    expect(error).toMatchObject({ status: 400, code: "context_length_exceeded", param: "input" });
    expect(error.message).toMatch(/2003 tokens.*512 tokens/);
  });
});

property.prop([fc.float32Array({ noNaN: true })])("packed numbers come out as they went in", (numbers) => {
  expect(floatsOf(packed(...numbers))).toEqual([...numbers]);
});

property.prop([fc.jsonValue()])("any input is checked, or refused by name", (input) => {
  try {
    const { jobs } = embeddingRequest({ input });
    expect(jobs).toHaveLength(1);
  } catch (error) {
    expect(error).toMatchObject({ code: "invalid_request" });
  }
});
