import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { connect } from "node:net";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { isRunning } from "../../../../test/fixtures/engines/running.ts";
import type { Engine } from "../build/engine.ts";
import { ensureEngine } from "../build/ensure-engine.ts";
import { startWorker, type Worker } from "../worker/start-worker.ts";
import { startHead, type Head, type HeadOptions } from "./start-head.ts";

const file = (path: string): string => fileURLToPath(new URL(`../../../../${path}`, import.meta.url));
const modelPath = file("models/demo-16l-q8_0.gguf");
const LAYERS = 16;
const { signal } = new AbortController();

interface Question {
  readonly prompt: string;
  readonly expect: string;
  readonly match: string;
}
const exact = (JSON.parse(readFileSync(file("models/questions.json"), "utf8")) as readonly Question[]).filter(
  ({ match }) => match === "exact",
);
/** Some of every kind: they come sorted. */
const questions = exact.filter((_, index) => index % Math.ceil(exact.length / 8) === 0);

let engine: Engine;
// The first time ever it is built, which takes minutes.
beforeAll(async () => {
  engine = await ensureEngine({ signal });
}, 900_000);

const worker = (): Promise<Worker> => startWorker({ engine, threads: 1, deviceId: null, signal });
function head(own: number, stages: readonly (readonly [Worker, number])[], more: Partial<HeadOptions> = {}): Promise<Head> {
  const workers = stages.map(([stage, layers]) => ({ endpoint: `127.0.0.1:${stage.port}`, layers }));
  return startHead({
    engine,
    modelPath,
    modelId: "demo",
    layers: { head: own, workers },
    layerCount: LAYERS,
    context: 512,
    slots: 2,
    kv: "f16",
    threads: 1,
    acceleratorId: null,
    signal,
    ...more,
  });
}

async function ask(to: Head, prompt: string, more: object = {}): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${to.port}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${to.apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ messages: [{ role: "user", content: prompt }], temperature: 0, max_tokens: 300, ...more }),
  });
  const body = (await response.json()) as { choices: readonly { message: { content: string } }[] };
  return body.choices[0]?.message.content ?? "";
}

describe("a pipeline", () => {
  test("answers as a single process does, and right", async () => {
    const answers = new Map<string, string>();
    await using first = await worker();
    await using second = await worker();
    {
      await using alone = await head(LAYERS, []);
      expect(alone.layerDevices).toEqual(Array<string>(LAYERS).fill("CPU"));
      for (const { prompt } of questions) answers.set(prompt, await ask(alone, prompt));
    }
    for (const own of [4, 0]) {
      const progress: number[] = [];
      await using split = await head(
        own,
        [
          [first, 10 - own],
          [second, 6],
        ],
        { onProgress: (fraction) => progress.push(fraction) },
      );
      expect(split.layerDevices.join()).toBe(
        [...Array<string>(own).fill("CPU"), ...Array<string>(10 - own).fill("RPC0"), ...Array<string>(6).fill("RPC1")].join(),
      );
      expect(progress.at(-1)).toBe(1);
      for (const question of questions) {
        const answer = await ask(split, question.prompt);
        expect(answer).toBe(answers.get(question.prompt));
        expect(answer).toBe(question.expect);
      }
    }
    // The workers served one head after the other.
    expect([first.process.state.kind, second.process.state.kind]).toEqual(["ready", "ready"]);
  });

  test("answers right without flash attention", async () => {
    await using first = await worker();
    await using second = await worker();
    const stages = [
      [first, 6],
      [second, 6],
    ] as const;
    await using split = await head(4, stages, { flashAttention: false });
    expect(split.process.logTail.join("\n")).toContain("flash_attn            = disabled");
    for (const question of questions) expect(await ask(split, question.prompt)).toBe(question.expect);
  });

  test("tells the memory it took, device by device", async () => {
    await using first = await worker();
    await using second = await worker();
    const kvOn = async (kv: "f16" | "q8_0"): Promise<readonly (number | undefined)[]> => {
      await using split = await head(
        4,
        [
          [first, 8],
          [second, 4],
        ],
        { kv },
      );
      const endpoints = [null, `127.0.0.1:${first.port}`, `127.0.0.1:${second.port}`];
      return endpoints.map((endpoint) => split.buffers.find((size) => size.kind === "KV" && size.endpoint === endpoint)?.bytes);
    };
    // 64 keys and 64 values per token and layer, 1024 tokens.
    const perLayer = 128 * 1024;
    expect(await kvOn("f16")).toEqual([4, 8, 4].map((layers) => layers * perLayer * 2));
    for (const [index, bytes] of (await kvOn("q8_0")).entries()) {
      expect(Math.abs((bytes ?? 0) - ([4, 8, 4][index] ?? 0) * perLayer * (34 / 32))).toBeLessThan(0.01 * 1024 * 1024);
    }
  });

  test("takes requests with its key only, and keeps no word of them", async () => {
    await using alone = await head(LAYERS, []);
    const before = alone.process.logTail.length;
    const post = (headers: Record<string, string>): Promise<Response> =>
      fetch(`http://127.0.0.1:${alone.port}/completion`, {
        method: "POST",
        headers,
        body: JSON.stringify({ prompt: "aubergine", n_predict: 200, ignore_eos: true }),
      });
    expect((await post({})).status).toBe(401);
    expect((await post({ authorization: "Bearer guessed" })).status).toBe(401);
    const answer = (await (await post({ authorization: `Bearer ${alone.apiKey}` })).json()) as { tokens_predicted: number };
    expect(answer.tokens_predicted).toBe(200);
    expect(alone.process.logTail.length - before).toBeLessThan(60);
    expect(alone.process.logTail.join()).not.toContain("aubergine");
    expect(alone.process.logTail.join()).not.toContain(alone.apiKey);
  });

  test("a worker killed in the middle ends the head, and both say so", async () => {
    await using first = await worker();
    await using second = await worker();
    await using split = await head(4, [
      [first, 6],
      [second, 6],
    ]);
    const answer = ask(split, "Tell me a story.", { max_tokens: 450, ignore_eos: true });
    const cut = expect(answer).rejects.toThrow();
    await expect.poll(() => split.process.logTail.some((line) => line.includes("new prompt"))).toBe(true);
    process.kill(second.process.pid, "SIGKILL");
    expect(await second.ended).toMatchObject({ code: "worker_lost", message: expect.stringContaining("SIGKILL") as string });
    expect(await split.ended).toMatchObject({ code: "worker_lost" });
    expect(split.process.state).toMatchObject({ kind: "ended", signal: "SIGABRT", wanted: false });
    await cut;
    expect(first.process.state.kind).toBe("ready");
  });

  test("nothing of it outlives a daemon that is killed", async () => {
    const daemon = spawn(
      process.execPath,
      [file("test/fixtures/engines/pipeline-parent.ts"), dirname(engine.llamaServer), modelPath, String(LAYERS)],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const pids: number[] = [];
    for await (const line of createInterface({ input: daemon.stdout })) {
      if (line.startsWith("pid ")) pids.push(Number(line.slice(4)));
      if (line === "ready") break;
    }
    expect(pids.map(isRunning)).toEqual([true, true]);
    daemon.kill("SIGKILL");
    await expect.poll(() => pids.map(isRunning), { timeout: 10_000 }).toEqual([false, false]);
  });
});

describe("a load that cannot be", () => {
  test("a worker that is not there", async () => {
    const gone = await worker();
    await gone.process.stop();
    await expect(head(4, [[gone, 12]])).rejects.toMatchObject({
      code: "worker_lost",
      details: { endpoint: `127.0.0.1:${gone.port}` },
    });
  });
  test("a file that is none", async () => {
    await expect(head(LAYERS, [], { modelPath: file("package.json") })).rejects.toMatchObject({ code: "model_broken" });
  });
  test("a plan for another number of layers", async () => {
    const plan = { layers: { head: 17, workers: [] }, layerCount: 17 };
    await expect(head(17, [], plan)).rejects.toMatchObject({
      message: expect.stringContaining("16 layers instead of the 17") as string,
    });
  });
});

describe("a worker", () => {
  test("listens on the loopback and nowhere else", async () => {
    await using one = await worker();
    const outside = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal, family }) => !internal && family === "IPv4");
    const takes = (host: string): Promise<boolean> =>
      new Promise((resolve) => {
        const socket = connect({ host, port: one.port }, () => {
          socket.destroy();
          resolve(true);
        });
        socket.once("error", () => resolve(false));
      });
    expect(await takes("127.0.0.1")).toBe(true);
    for (const { address } of outside) expect(await takes(address)).toBe(false);
  });
  test("outlives a head that is killed", async () => {
    await using one = await worker();
    {
      await using split = await head(0, [[one, LAYERS]]);
      process.kill(split.process.pid, "SIGKILL");
      expect(await split.ended).toMatchObject({ code: "engine_crashed" });
    }
    await using again = await head(0, [[one, LAYERS]]);
    expect(await ask(again, questions[0]?.prompt ?? "")).toBe(questions[0]?.expect);
  });
  test("a device that this machine does not have is refused by name", async () => {
    await expect(startWorker({ engine, threads: 1, deviceId: "CUDA7", signal })).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("CUDA7") as string,
    });
  });
  test("gives up when every port it picks is taken", async () => {
    let tries = 0;
    const rpcServer = file("test/fixtures/engines/fake-rpc-server.mjs");
    await expect(
      startWorker({ engine: { rpcServer }, threads: 1, deviceId: null, logger: () => tries++, signal }),
    ).rejects.toMatchObject({ code: "engine_crashed" });
    expect(tries).toBe(5);
  });
});
