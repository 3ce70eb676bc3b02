import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ensureEngine } from "../build/ensure-engine.ts";
import type { Engine } from "../build/engine.ts";
import { startWorker } from "../worker/start-worker.ts";
import { startHead } from "./start-head.ts";

const MAKE_MODEL = fileURLToPath(new URL("../../../../scripts/make-model.ts", import.meta.url));
const LAYERS = 4;
const TOKENS = 60;
const { signal } = new AbortController();

let engine: Engine;
let folder = "";
const paths: Record<string, string> = {};
beforeAll(async () => {
  engine = await ensureEngine({ signal });
  folder = await mkdtemp(join(tmpdir(), "clusterd-next-tokens-"));
  for (const [name, flags] of [
    ["right", ["--counting"]],
    ["wrong", ["--counting", "--bad-guesses"]],
  ] as const) {
    const path = join(folder, `${name}.gguf`);
    const shape = ["--arch", "deepseek2", "--layers", String(LAYERS), "--width", "128", "--next-token-layers", "1"];
    await promisify(execFile)(process.execPath, [MAKE_MODEL, path, ...shape, ...flags]);
    paths[name] = path;
  }
}, 900_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Answer {
  readonly tokens: readonly number[];
  readonly timings: { readonly draft_n?: number; readonly draft_n_accepted?: number };
}

/** The same answer guessed ahead and plain, of a model over the head's own layers and workers of so many. */
async function answers(model: string, own: number, remote: readonly number[], type: "mtp" | "off" = "mtp"): Promise<Answer[]> {
  await using stack = new AsyncDisposableStack();
  const worker = async (): Promise<string> =>
    `127.0.0.1:${stack.use(await startWorker({ engine, threads: 1, deviceId: null, signal })).port}`;
  const workers: { readonly endpoint: string; readonly layers: number }[] = [];
  for (const layers of remote) workers.push({ endpoint: await worker(), layers });
  const guesses = type === "mtp" && remote.length > 0 ? { nextTokens: { endpoint: await worker() } } : {};
  const head = stack.use(
    await startHead({
      engine,
      modelPath: paths[model] ?? "",
      modelId: model,
      layers: { head: own, workers, ...guesses },
      layerCount: LAYERS,
      nextTokenLayers: 1,
      context: 512,
      slots: 1,
      kv: "f16",
      threads: 1,
      acceleratorId: null,
      speculation: { type },
      signal,
    }),
  );
  const devices = [...Array<string>(own).fill("CPU"), ...remote.flatMap((count, at) => Array<string>(count).fill(`RPC${at}`))];
  const last = type === "mtp" ? remote.length : remote.length - 1;
  expect(head.layerDevices).toEqual([...devices, remote.length === 0 ? "CPU" : `RPC${last}`]);
  const all: Answer[] = [];
  for (const more of [{}, { "speculative.n_max": 0 }]) {
    const response = await fetch(`http://127.0.0.1:${head.port}/completion`, {
      method: "POST",
      headers: { authorization: `Bearer ${head.apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({
        ...{ prompt: "The quick brown fox", n_predict: TOKENS, temperature: 0, ignore_eos: true },
        ...{ return_tokens: true, cache_prompt: false, ...more },
      }),
    });
    expect(response.status).toBe(200);
    all.push((await response.json()) as Answer);
  }
  return all;
}

const acceptance = (answer: Answer | undefined): number =>
  (answer?.timings.draft_n_accepted ?? 0) / (answer?.timings.draft_n ?? 0);

test("layers for later tokens guess right over no, some and all layers elsewhere, and the text is that of one process", async () => {
  const [, alone] = await answers("right", LAYERS, [], "off");
  expect(alone?.timings.draft_n).toBeUndefined();
  // It counts: every token is the one after the last.
  expect(alone?.tokens).toEqual(Array.from({ length: TOKENS }, (_, index) => (alone?.tokens[0] ?? 0) + index));
  for (const [own, remote] of [
    [LAYERS, []],
    [0, [2, 2]],
    [1, [1, 2]],
  ] as const) {
    const [guessed, plain] = await answers("right", own, remote);
    expect(guessed?.tokens).toEqual(alone?.tokens);
    expect(plain?.tokens).toEqual(alone?.tokens);
    expect(acceptance(guessed)).toBe(1);
    expect(guessed?.timings.draft_n).toBeGreaterThan(TOKENS / 2);
    expect(plain?.timings.draft_n).toBeUndefined();
  }
});

test("they guess wrong, and the text is the same; not asked, they are left on the disk", async () => {
  const [guessed, plain] = await answers("wrong", 0, [2, 2]);
  expect(acceptance(guessed)).toBeLessThan(0.1);
  expect(guessed?.tokens).toEqual(plain?.tokens);
  const [off] = await answers("wrong", 0, [2, 2], "off");
  expect(off?.tokens).toEqual(plain?.tokens);
  expect(off?.timings.draft_n).toBeUndefined();
});
