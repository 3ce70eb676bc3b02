import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { promisify } from "node:util";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readModelFile } from "../../packages/catalog/src/index.ts";
import { ensureEngine, startHead } from "../../packages/engine/src/index.ts";
import type { Placement } from "../../packages/wire/src/index.ts";
import { startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const LAYERS = 4;
/** Vectors of the same text from one process and from several hosts: nothing but rounding lies between. */
const COSINE_MIN = 0.999;
const TEXTS = ["The quick brown fox", "jumps over the lazy dog", "One two three four five"];
const SHAPES = {
  "an encoder (BERT)": "--arch bert",
  "an encoder with a gate (Nomic)": "--arch nomic-bert",
  "a decoder, the mean of its tokens": "--arch qwen3 --tied --pooling mean",
  "a decoder, its last token": "--arch qwen3 --tied --pooling last",
} as const;

const network = makeHosts(["a", "b", "c"]);
let cluster: Cluster;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-embeddings-"));
  cluster = await startCluster(network.hosts, "lab");
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  network[Symbol.dispose]();
  await rm(folder, { recursive: true, force: true });
});

/** What one llama-server with all layers gives for the texts. */
async function alone(path: string): Promise<readonly (readonly number[])[]> {
  const { signal } = new AbortController();
  const { profile } = await readModelFile(path, { signal });
  await using head = await startHead({
    engine: await ensureEngine({ signal }),
    modelPath: path,
    modelId: "alone",
    embedding: profile.embedding ?? null,
    layers: { head: LAYERS, workers: [] },
    ...{ layerCount: LAYERS, context: 512, slots: 1, kv: "f16", threads: 1, acceleratorId: null, signal },
  });
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${head.port}/v1`, apiKey: head.apiKey });
  return await vectorsOf(client, "alone");
}

async function vectorsOf(client: OpenAI, model: string): Promise<readonly (readonly number[])[]> {
  const { data } = await client.embeddings.create({ model, input: TEXTS, encoding_format: "float" });
  return data.map(({ embedding }) => embedding);
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, value, at) => sum + value * (y[at] ?? 0), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

interface Answer {
  readonly error?: { readonly code: string; readonly message: string };
  readonly data?: readonly { readonly embedding: unknown }[];
  readonly usage?: { readonly prompt_tokens: number };
}

async function ask(path: string, body: object): Promise<Answer> {
  return JSON.parse(await cluster.named("c").post(path, body)) as Answer;
}

test.each(Object.entries(SHAPES))("%s over three hosts gives the vectors of one process", async (_, flags) => {
  const path = join(folder, `embed${flags.replaceAll(/\W+/g, "-")}.gguf`);
  const shape = [...flags.split(" "), "--layers", String(LAYERS), "--width", "128"];
  await promisify(execFile)(process.execPath, [MAKE_MODEL, path, ...shape]);
  const golden = await alone(path);
  expect(cosine(golden[0] ?? [], golden[1] ?? [])).toBeLessThan(COSINE_MIN);

  const ran = await cluster.head.run("load", path, "--objective", "spread", "--ctx", "256", "--wait", "--json");
  expect(ran.status, ran.stderr).toBe(0);
  const { plan } = JSON.parse(ran.stdout) as { plan: Placement };
  expect(plan.stages).toHaveLength(3);
  expect(plan.speculation.type).toBe("off");

  const model = basename(path, ".gguf");
  const { data = [], usage } = await ask("/v1/embeddings", { model, input: TEXTS });
  expect(data).toHaveLength(TEXTS.length);
  for (const [at, { embedding }] of data.entries())
    expect(cosine(golden[at] ?? [], embedding as readonly number[])).toBeGreaterThan(COSINE_MIN);
  expect(usage?.prompt_tokens).toBeGreaterThan(TEXTS.length);

  const long = await ask("/v1/embeddings", { model, input: "word ".repeat(600) });
  expect(long.error).toMatchObject({ code: "context_length_exceeded" });
  expect(long.error?.message).toMatch(/256 tokens/);
  const chat = await ask("/v1/chat/completions", { model, messages: [{ role: "user", content: "hello" }] });
  expect(chat.error).toMatchObject({ code: "unsupported" });
  expect((await cluster.head.run("unload", model)).status).toBe(0);
});
