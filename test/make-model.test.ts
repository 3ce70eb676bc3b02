import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readModelFile } from "../packages/catalog/src/read-model.ts";
import { ensureEngine, startHead, startWorker, type Engine } from "../packages/engine/src/index.ts";
import { ARCHITECTURES } from "../scripts/make-model/architectures.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../scripts/make-model.ts");
const run = promisify(execFile);
const { signal } = new AbortController();

let engine: Engine;
let folder = "";
beforeAll(async () => {
  engine = await ensureEngine({ signal });
  folder = await mkdtemp(join(tmpdir(), "clusterd-make-model-"));
}, 900_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function make(name: string, flags: string): Promise<string> {
  const path = join(folder, `${name}.gguf`);
  await run(process.execPath, [MAKE_MODEL, path, ...flags.split(" ")]);
  return path;
}

interface Completion {
  readonly content: string;
  readonly tokens: readonly number[];
  readonly completion_probabilities: readonly { readonly logprob: number | null }[];
}

/** Twelve greedy tokens after a prompt, from a model over stages of so many layers, the head's first. */
async function complete(path: string, counts?: readonly number[]): Promise<Completion> {
  const { profile } = await readModelFile(path, { signal });
  const trunk = profile.layers.length - profile.nextTokenLayers;
  const layers = counts ?? [trunk];
  await using stack = new AsyncDisposableStack();
  const workers: { readonly endpoint: string; readonly layers: number }[] = [];
  for (const count of layers.slice(1)) {
    const worker = stack.use(await startWorker({ engine, threads: 1, deviceId: null, signal }));
    workers.push({ endpoint: `127.0.0.1:${worker.port}`, layers: count });
  }
  const head = stack.use(
    await startHead({
      engine,
      modelPath: path,
      modelId: "made",
      layers: { head: layers[0] ?? 0, workers },
      layerCount: trunk,
      nextTokenLayers: profile.nextTokenLayers,
      context: 512,
      slots: 1,
      kv: "f16",
      threads: 1,
      acceleratorId: null,
      signal,
    }),
  );
  const response = await fetch(`http://127.0.0.1:${head.port}/completion`, {
    method: "POST",
    headers: { authorization: `Bearer ${head.apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({
      prompt: "The quick brown fox",
      n_predict: 12,
      temperature: 0,
      n_probs: 1,
      return_tokens: true,
      ignore_eos: true,
    }),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Completion;
}

const ENCODERS: ReadonlySet<string> = new Set(["bert", "nomic-bert"]);

test.each([...ARCHITECTURES.keys()].filter((name) => !ENCODERS.has(name)))(
  "a small %s answers, its numbers in range",
  async (architecture) => {
    const path = await make(architecture, `--arch ${architecture} --layers 4 --width 128`);
    const { tokens, completion_probabilities: steps } = await complete(path);
    expect(tokens).toHaveLength(12);
    // A model out of range repeats one token, or has no probabilities to tell.
    expect(new Set(tokens).size).toBeGreaterThan(2);
    for (const { logprob } of steps) expect(logprob).toBeLessThan(-1e-6);
  },
);

test("61 layers of latent attention and experts over two workers answer as one process does", async () => {
  const path = await make("deep", "--arch deepseek2 --layers 61 --width 64");
  expect((await complete(path, [3, 29, 29])).tokens).toEqual((await complete(path)).tokens);
});

test("layers for later tokens are left on the disk", async () => {
  const path = await make("next", "--arch deepseek2 --layers 4 --width 128 --next-token-layers 1");
  const { profile } = await readModelFile(path, { signal });
  expect([profile.layers.length, profile.nextTokenLayers]).toEqual([5, 1]);
  expect((await complete(path)).tokens).toHaveLength(12);
});

test.each(["llama", "qwen3next"])("a %s counts", async (architecture) => {
  const { tokens } = await complete(
    await make(`count-${architecture}`, `--arch ${architecture} --layers 4 --width 128 --counting`),
  );
  expect(tokens).toEqual(tokens.map((_, index) => (tokens[0] ?? 0) + index));
});

describe("files", () => {
  test("the same seed gives the same file, another one another model", async () => {
    const flags = "--layers 2 --width 128 --type q4_0";
    const [a, b, c] = await Promise.all([make("a", flags), make("b", flags), make("c", `${flags} --seed 2`)]);
    expect(Buffer.compare(await readFile(a), await readFile(b))).toBe(0);
    const ids = await Promise.all([a, c].map(async (path) => (await readModelFile(path, { signal })).profile.contentId));
    expect(ids[0]).not.toBe(ids[1]);
  });

  test.each([
    ["deepseek-v3", 671e9, 61],
    ["qwen3-235b-a22b", 235e9, 94],
    ["gpt-oss-120b", 117e9, 36],
  ])("%s has its real size, in a file that takes no space", async (preset, parameters, layers) => {
    const path = await make(preset, `--preset ${preset} --header-only --type f16`);
    const { size, blocks } = await stat(path);
    // Routers and norms are in 32 bits.
    expect(size / 2 / parameters).toBeCloseTo(1, 1);
    expect(blocks * 512).toBeLessThan(64e6);
    expect((await readModelFile(path, { signal })).profile.layers).toHaveLength(layers);
  });

  test.each([
    ["--arch gpt-5", "There is no architecture"],
    ["--width twelve", "--width takes a whole number"],
    ["--vocab 10", "--vocab must be at least"],
    ["--arch deepseek2 --layers 27 --query-rank 64", "no latent queries"],
    ["--experts 4 --experts-used 5", "5 of 4 experts"],
    ["--counting --tied", "an output matrix of its own"],
    ["--bad-guesses", "for --counting only"],
  ])("%s is refused in words", async (flags, words) => {
    await expect(make("none", flags)).rejects.toThrow(words);
  });
});
