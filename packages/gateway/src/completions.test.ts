import { expect, test } from "vitest";
import { errorOf, eventData, gatewayFor, post } from "./testing/client.ts";
import { fakeBackend, fakeRoute } from "./testing/fake-backend.ts";

const sse = (...chunks: readonly (object | string)[]): Response =>
  new Response(chunks.map((chunk) => `data: ${typeof chunk === "string" ? chunk : JSON.stringify(chunk)}\n\n`).join(""));
const choice = (text: string, finish: string | null = null) => ({ index: 0, text, logprobs: null, finish_reason: finish });
const head = { id: "c", object: "text_completion", created: 1, model: "m" };

function generator() {
  return fakeBackend(() =>
    sse(
      "null",
      { ...head, choices: [choice("one")] },
      {
        ...head,
        choices: [choice("", "stop")],
        usage: { prompt_tokens: 2, completion_tokens: 1, total_tokens: 3 },
        timings: { prompt_n: 2, predicted_n: 1 },
      },
      "[DONE]",
    ),
  );
}
const BODY = { model: "demo-16l-q8_0", prompt: "count: " };

test("a stream's count comes in a chunk of its own where it is asked for, and not at all where it is not", async () => {
  const gateway = gatewayFor(generator());
  const chunks = async (more: object): Promise<readonly Record<string, unknown>[]> =>
    eventData(await (await post(gateway, "/v1/completions", { ...BODY, stream: true, ...more })).text())
      .filter((data) => data !== "[DONE]")
      .map((data) => JSON.parse(data) as Record<string, unknown>);
  const counted = await chunks({ stream_options: { include_usage: true } });
  expect(counted.map(({ choices, usage }) => [(choices as unknown[]).length, usage !== undefined])).toEqual([
    [1, false],
    [1, false],
    [0, true],
  ]);
  expect((await chunks({})).every(({ usage }) => usage === undefined)).toBe(true);
});

test("echo: streamed and whole, for every choice its own prompt", async () => {
  const gateway = gatewayFor(generator());
  const whole = (await (
    await post(gateway, "/v1/completions", { ...BODY, prompt: ["a: ", "b: "], echo: true, n: 2, best_of: 2 })
  ).json()) as { choices: { text: string }[] };
  expect(whole.choices.map(({ text }) => text)).toEqual(["a: one", "a: one", "b: one", "b: one"]);
  const streamed = await (await post(gateway, "/v1/completions", { ...BODY, echo: true, stream: true })).text();
  const texts = eventData(streamed).flatMap((data) =>
    data === "[DONE]" ? [] : (JSON.parse(data) as { choices: { text: string }[] }).choices.map(({ text }) => text),
  );
  expect(texts).toEqual(["count: one", ""]);
});

test("a suffix becomes a gap to fill, by the marks of the model that answers", async () => {
  const backend = generator();
  const gateway = gatewayFor(backend);
  const body = { ...BODY, prompt: ["a", [7, 8]], suffix: "z" };
  expect(await errorOf(await post(gateway, "/v1/completions", body))).toMatchObject({
    status: 501,
    code: "unsupported",
    param: "suffix",
  });
  expect(backend.engineRequests).toEqual([]);
  backend.setRoutes(fakeRoute({ infill: { prefix: 10, suffix: 11, middle: 12, begin: 1 } }));
  expect((await post(gateway, "/v1/completions", body)).status).toBe(200);
  expect(backend.engineRequests.map(({ body: sent }) => (JSON.parse(sent ?? "") as { prompt: unknown }).prompt)).toEqual([
    [1, 10, "a", 11, "z", 12],
    [1, 10, 7, 8, 11, "z", 12],
  ]);
});
