import { ClusterdError } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import { CHAT, gatewayFor, get, post, readStream } from "../testing/client.ts";
import { fakeBackend, fakeRoute, type FakeBackend } from "../testing/fake-backend.ts";
import { farAnswer, startUpstream } from "../testing/fake-upstream.ts";
import { streamAnswer, wellBehaved } from "../testing/scripted-engine.ts";
import type { Gateway } from "../gateway.ts";

const PATH = "/v1/chat/completions";
const GREEDY = { ...CHAT, temperature: 0 };

interface Told {
  readonly text: string;
  readonly cache: string | null;
}

async function ask(gateway: Gateway, body: object, headers: Record<string, string> = {}, path = PATH): Promise<Told> {
  const response = await post(gateway, path, body, headers);
  return { cache: response.headers.get("x-clusterd-cache"), text: await response.text() };
}

/** An engine whose answers are never alike. */
function cached(): { backend: FakeBackend; gateway: Gateway } {
  let asked = 0;
  const backend = fakeBackend((request) => wellBehaved([`answer ${(asked += 1)}`])(request));
  return { backend, gateway: gatewayFor(backend, { cacheBytesMax: 1024 * 1024 }) };
}

describe("an equal request at temperature 0", () => {
  test.each([false, true])("has the same bytes, streamed: %s", async (stream) => {
    const { backend, gateway } = cached();
    const body = { ...GREEDY, stream };
    const first = await ask(gateway, body);
    const again = await ask(gateway, body);
    expect([first.cache, again.cache]).toEqual(["miss", "hit"]);
    expect(again.text).toBe(first.text);
    expect(first.text).toContain("answer 1");
    expect(backend.engineRequests).toHaveLength(1);
  });

  test("as a stream comes as one", async () => {
    const { gateway } = cached();
    for (const _ of [1, 2]) {
      const response = await post(gateway, PATH, { ...GREEDY, stream: true });
      expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
      expect(await readStream(response)).toMatchObject({ text: "answer 1", done: true, error: null });
    }
  });
});

describe("another answer is given", () => {
  test.each<readonly [string, object]>([
    ["another message", { messages: [{ role: "user", content: "other" }] }],
    ["another limit", { max_tokens: 3 }],
    ["a stream", { stream: true }],
  ])("to %s", async (_, changes) => {
    const { gateway } = cached();
    const first = await ask(gateway, GREEDY);
    const other = await ask(gateway, { ...GREEDY, ...changes });
    expect([first.cache, other.cache]).toEqual(["miss", "miss"]);
    expect(other.text).not.toBe(first.text);
  });

  test.each<readonly [string, object]>([
    ["any temperature but 0, even with a seed", { temperature: 0.1, seed: 1 }],
    ["the engine's own temperature", { temperature: null }],
    ["several choices", { n: 2 }],
  ])("to %s", async (_, changes) => {
    const { gateway, backend } = cached();
    for (const __ of [1, 2]) expect((await ask(gateway, { ...GREEDY, ...changes })).cache).toBe(null);
    expect(backend.engineRequests.length).toBeGreaterThan(1);
  });

  test("in another API", async () => {
    const { gateway } = cached();
    await ask(gateway, { model: CHAT["model"], prompt: "a", temperature: 0 }, {}, "/v1/completions");
    expect((await ask(gateway, { model: CHAT["model"], prompt: "a", temperature: 0 }, {}, "/v1/completions")).cache).toBe("hit");
    expect((await ask(gateway, GREEDY)).cache).toBe("miss");
  });

  test("to another key, and to none", async () => {
    const { backend, gateway } = cached();
    const limits = { models: null, requestsPerMinute: null, tokensPerDay: null, mayControl: false, isPrivate: false };
    const keys = await Promise.all(["one", "two"].map((name) => backend.keys.create({ ...limits, name })));
    const [one, two] = keys.map(({ key }) => ({ authorization: `Bearer ${key}` }));
    const asked = [one, two, {}, one, two, {}];
    const told: Told[] = [];
    for (const headers of asked) told.push(await ask(gateway, GREEDY, headers));
    expect(told.map(({ cache }) => cache)).toEqual(["miss", "miss", "miss", "hit", "hit", "hit"]);
    expect(new Set(told.map(({ text }) => text)).size).toBe(3);
  });

  test("by another run of the engine, and another deployment", async () => {
    const { backend, gateway } = cached();
    const runs = [{ run: "1" }, { run: "2" }, { run: "2", deployment: "d2" as never }, { run: "1" }];
    const told: (string | null)[] = [];
    for (const changes of runs) {
      backend.setRoutes(fakeRoute(changes));
      told.push((await ask(gateway, GREEDY)).cache);
    }
    expect(told).toEqual(["miss", "miss", "miss", "hit"]);
  });
});

describe("nothing is kept", () => {
  test("without a limit of bytes", async () => {
    const gateway = gatewayFor(fakeBackend(wellBehaved(["a"])));
    for (const _ of [1, 2]) expect((await ask(gateway, GREEDY)).cache).toBe(null);
  });

  test.each([false, true])("of an answer that fails, streamed: %s", async (stream) => {
    const { backend, gateway } = cached();
    const error = new ClusterdError("worker_lost", "lost");
    backend.setEngine(() => streamAnswer({ tokens: ["a"], ending: "reset", error }));
    await ask(gateway, { ...GREEDY, stream });
    backend.setEngine(wellBehaved(["whole"]));
    const next = await ask(gateway, { ...GREEDY, stream });
    expect(next.cache).toBe("miss");
    expect((await ask(gateway, { ...GREEDY, stream })).text).toBe(next.text);
  });

  test("of an answer whose client goes", async () => {
    const { backend, gateway } = cached();
    backend.setEngine(() => streamAnswer({ tokens: ["a"], ending: "hang" }));
    const body = { ...GREEDY, stream: true };
    const reader = (await post(gateway, PATH, body)).body?.getReader();
    await reader?.read();
    await reader?.cancel();
    backend.setEngine(wellBehaved(["whole"]));
    expect((await ask(gateway, body)).cache).toBe("miss");
  });

  test("of another's answer", async () => {
    await using far = await startUpstream(farAnswer(["far"]));
    const models = new Map([["demo-16l-q8_0", "x"]]);
    const backend = fakeBackend(() => Promise.reject(new ClusterdError("queue_full", "full")));
    const gateway = gatewayFor(backend, { cacheBytesMax: 1024 * 1024, upstreams: [far.as({ models })] });
    for (const stream of [false, true]) expect((await ask(gateway, { ...GREEDY, stream })).cache).toBe(null);
    backend.setEngine(wellBehaved(["here"]));
    for (const stream of [false, true]) expect((await ask(gateway, { ...GREEDY, stream })).cache).toBe("miss");
  });
});

test("Cache-Control: no-store keeps nothing and gives nothing, no-cache gives nothing and keeps", async () => {
  const { gateway } = cached();
  const told = async (control?: string): Promise<readonly [string | null, string]> => {
    const { cache, text } = await ask(gateway, GREEDY, control === undefined ? {} : { "cache-control": control });
    return [cache, /answer \d/.exec(text)?.[0] ?? ""];
  };
  expect(await told("no-store")).toEqual([null, "answer 1"]);
  expect(await told()).toEqual(["miss", "answer 2"]);
  expect(await told("no-store")).toEqual([null, "answer 3"]);
  expect(await told("max-age=0, no-cache")).toEqual(["miss", "answer 4"]);
  expect(await told("max-age=60")).toEqual(["hit", "answer 4"]);
});

test("hits, misses and bytes are counted, the tokens of a hit are not", async () => {
  const { gateway } = cached();
  for (const _ of [1, 2, 3]) await ask(gateway, GREEDY);
  const metrics = await (await get(gateway, "/metrics")).text();
  expect(metrics).toMatch(/clusterd_cache_hits_total 2\n/);
  expect(metrics).toMatch(/clusterd_cache_misses_total 1\n/);
  expect(metrics).toMatch(/clusterd_cache_entries 1\n/);
  expect(metrics).toMatch(/clusterd_cache_bytes \d{3,}\n/);
  expect(metrics).toMatch(/clusterd_completion_tokens_total 1\n/);
});
