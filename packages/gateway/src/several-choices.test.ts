import { ClusterdError } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import { CHAT, errorOf, gatewayFor, post, readStream } from "./testing/client.ts";
import { fakeBackend } from "./testing/fake-backend.ts";
import { completionAnswer, engineBody, streamAnswer, wellBehaved } from "./testing/scripted-engine.ts";

const CHAT_PATH = "/v1/chat/completions";
const STREAM = { ...CHAT, stream: true };

describe("several choices", () => {
  test("whole: each asked for by itself, a seed growing, prompts counted once", async () => {
    const backend = fakeBackend((request) => streamAnswer({ tokens: ["an", "swer ", String(engineBody(request)["seed"])] }));
    const response = await post(gatewayFor(backend), CHAT_PATH, { ...CHAT, n: 5, seed: 40 });
    const { choices, usage } = (await response.json()) as {
      choices: { index: number; message: { content: string } }[];
      usage: unknown;
    };
    expect(choices.map(({ index, message }) => [index, message.content])).toEqual(
      [0, 1, 2, 3, 4].map((at) => [at, `answer ${40 + at}`]),
    );
    expect(usage).toEqual({ prompt_tokens: 7, completion_tokens: 15, total_tokens: 22 });
    expect(backend.engineRequests.every((request) => engineBody(request)["n"] === undefined)).toBe(true);
  });

  test("never more at once than the deployment has slots", async () => {
    let now = 0;
    let most = 0;
    const backend = fakeBackend(async () => {
      now += 1;
      most = Math.max(most, now);
      await new Promise((resolve) => setTimeout(resolve, 5));
      now -= 1;
      return streamAnswer({ tokens: ["x"] });
    });
    await post(gatewayFor(backend), CHAT_PATH, { ...CHAT, n: 8 });
    expect([backend.engineRequests.length, most]).toEqual([8, 2]);
  });

  test("streamed: one id, every index, one sum where it was asked for, one end mark", async () => {
    const gateway = gatewayFor(fakeBackend(wellBehaved(["a", "b"])));
    const { chunks, done } = await readStream(
      await post(gateway, CHAT_PATH, { ...STREAM, n: 3, stream_options: { include_usage: true } }),
    );
    expect(done).toBe(true);
    for (const index of [0, 1, 2]) {
      const own = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index));
      expect(own.map(({ delta }) => delta.content ?? "").join("")).toBe("ab");
      expect(own.map(({ finish_reason: reason }) => reason).filter((reason) => reason !== null)).toEqual(["stop"]);
    }
    expect(chunks.filter(({ usage }) => usage !== undefined)).toEqual([
      expect.objectContaining({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 6, total_tokens: 13 } }),
    ]);
    const plain = await readStream(await post(gateway, CHAT_PATH, { ...STREAM, n: 3 }));
    expect(plain.chunks.some(({ usage }) => usage !== undefined)).toBe(false);
  });

  test("one that fails ends all, with one error", async () => {
    let asked = 0;
    const backend = fakeBackend(() => {
      asked += 1;
      if (asked < 3) return streamAnswer({ tokens: ["a"] });
      throw new ClusterdError("worker_lost", "mini-2 is gone.");
    });
    const { error, done } = await readStream(await post(gatewayFor(backend), CHAT_PATH, { ...STREAM, n: 4 }));
    expect([error?.code, done]).toEqual(["worker_lost", false]);
    asked = 0;
    expect(await errorOf(await post(gatewayFor(backend), CHAT_PATH, { ...CHAT, n: 4 }))).toMatchObject({
      status: 503,
      code: "worker_lost",
    });
  });

  test("of several prompts: in the order of prompts, then choices", async () => {
    const backend = fakeBackend((request) => completionAnswer([String(engineBody(request)["prompt"])]));
    const response = await post(gatewayFor(backend), "/v1/completions", { model: "stable", prompt: ["a", "b"], n: 2 });
    const { choices, usage } = (await response.json()) as { choices: { index: number; text: string }[]; usage: unknown };
    expect(choices.map(({ index, text }) => `${index}${text}`)).toEqual(["0a", "1a", "2b", "3b"]);
    expect(usage).toEqual({ prompt_tokens: 4, completion_tokens: 4, total_tokens: 8 });
  });
});
