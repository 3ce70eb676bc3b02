import { readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import type { KvType } from "@clusterd/wire";
import { ensureEngine } from "../build/ensure-engine.ts";
import type { Engine } from "../build/engine.ts";
import { startWorker } from "../worker/start-worker.ts";
import type { HeadSpeculation } from "./speculation-arguments.ts";
import { startHead, type Head } from "./start-head.ts";

const modelPath = fileURLToPath(new URL("../../../../models/demo-16l-q8_0.gguf", import.meta.url));
const LAYERS = 16;
const TOKENS = 120;
/** One that repeats itself, one that the model goes on with by itself. */
const PROMPTS = ["apple, pear, plum, cherry, grape, melon, apple, pear, plum, cherry, grape, melon,", "Once upon a time"];
const { signal } = new AbortController();

interface Answer {
  readonly content: string;
  readonly timings: { readonly draft_n?: number; readonly draft_n_accepted?: number };
  readonly completion_probabilities?: readonly { readonly logprob: number }[];
}

let engine: Engine;
beforeAll(async () => {
  engine = await ensureEngine({ signal });
}, 900_000);

async function pipeline(speculation: HeadSpeculation, kv: KvType, use: (head: Head) => Promise<void>, slots = 1): Promise<void> {
  await using first = await startWorker({ engine, threads: 1, deviceId: null, signal });
  await using second = await startWorker({ engine, threads: 1, deviceId: null, signal });
  const workers = [first, second].map((worker, index) => ({ endpoint: `127.0.0.1:${worker.port}`, layers: index === 0 ? 8 : 4 }));
  await using head = await startHead({
    engine,
    modelPath,
    modelId: "demo",
    layers: { head: 4, workers },
    layerCount: LAYERS,
    context: 512,
    slots,
    kv,
    threads: 1,
    acceleratorId: null,
    speculation,
    signal,
  });
  await use(head);
}

async function complete(head: Head, prompt: string, more: object = {}): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${head.port}/completion`, {
    method: "POST",
    headers: { authorization: `Bearer ${head.apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ prompt, n_predict: TOKENS, temperature: 0, ignore_eos: true, cache_prompt: false, ...more }),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}

const OFF = { "speculative.n_max": 0 };
const byDraft: HeadSpeculation = { type: "draft", modelPath };

describe("speculation over workers", () => {
  test.each<[string, HeadSpeculation, KvType]>([
    ["n-grams", { type: "ngram" }, "f16"],
    ["n-grams, q8_0 cache", { type: "ngram" }, "q8_0"],
    ["a draft model", byDraft, "f16"],
    ["a draft model, q4_0 cache", byDraft, "q4_0"],
  ])("%s: the greedy text is the plain one, and a request can do without", async (_, speculation, kv) => {
    await pipeline(speculation, kv, async (head) => {
      for (const [index, prompt] of PROMPTS.entries()) {
        const plain = await complete(head, prompt, OFF);
        const speculative = await complete(head, prompt);
        expect(speculative.content).toBe(plain.content);
        expect(plain.timings.draft_n).toBeUndefined();
        // What repeats itself is guessed by both, a story by the draft model alone.
        if (index > 0 && speculation.type !== "draft") continue;
        const { draft_n: drafted = 0, draft_n_accepted: accepted = 0 } = speculative.timings;
        expect(drafted).toBeGreaterThan(TOKENS / 4);
        expect(accepted / drafted).toBeGreaterThan(0.5);
      }
    });
  });

  test("log-probabilities are those of the plain answer, for every token", async () => {
    await pipeline({ type: "ngram" }, "f16", async (head) => {
      const [prompt = ""] = PROMPTS;
      const plain = await complete(head, prompt, { ...OFF, n_probs: 1 });
      const asked = await complete(head, prompt, { n_probs: 1 });
      expect(asked.completion_probabilities).toHaveLength(TOKENS);
      expect(asked.completion_probabilities).toEqual(plain.completion_probabilities);
    });
  });

  test("several slots at once, some with and some without", async () => {
    await pipeline(
      byDraft,
      "f16",
      async (head) => {
        const alone = await Promise.all(PROMPTS.map((prompt) => complete(head, prompt, OFF)));
        const together = await Promise.all(PROMPTS.map((prompt, index) => complete(head, prompt, index === 0 ? OFF : {})));
        expect(together[0]?.timings.draft_n).toBeUndefined();
        expect(together[1]?.timings.draft_n).toBeGreaterThan(0);
        expect(together.map(({ content }) => content)).toEqual(alone.map(({ content }) => content));
      },
      2,
    );
  });

  test("a draft model of another vocabulary is told, not passed over", async () => {
    const other = join(await mkdtemp(join(tmpdir(), "clusterd-draft-")), "other.gguf");
    const bytes = readFileSync(modelPath);
    const at = bytes.indexOf("Reykjavik");
    // Where no token is that long, its beginning is one.
    const word = at > 0 ? at : bytes.indexOf("apital");
    bytes.writeUInt8(bytes.readUInt8(word) ^ 1, word);
    await writeFile(other, bytes);
    const started = pipeline({ type: "draft", modelPath: other }, "f16", async () => undefined);
    await expect(started).rejects.toThrow(/does not speculate/);
  });
});

describe("the type of the cache", () => {
  test.each<KvType>(["q8_0", "q4_0"])("%s: over workers as in one process", async (kv) => {
    const options = { engine, modelPath, modelId: "demo", layerCount: LAYERS, context: 512, slots: 1, kv, threads: 1, signal };
    await using alone = await startHead({ ...options, layers: { head: LAYERS, workers: [] }, acceleratorId: null });
    await pipeline({ type: "off" }, kv, async (head) => {
      for (const prompt of ["What is the capital of France?", "What is the capital of Japan?"]) {
        const ask = async (to: Head): Promise<string> => {
          const response = await fetch(`http://127.0.0.1:${to.port}/v1/chat/completions`, {
            method: "POST",
            headers: { authorization: `Bearer ${to.apiKey}`, "content-type": "application/json" },
            body: JSON.stringify({ messages: [{ role: "user", content: prompt }], temperature: 0, max_tokens: 40 }),
          });
          const body = (await response.json()) as { choices: readonly { message: { content: string } }[] };
          return body.choices[0]?.message.content ?? "";
        };
        const answer = await ask(head);
        expect(answer).toMatch(/^The capital of (France is Paris|Japan is Tokyo)\.$/);
        expect(answer).toBe(await ask(alone));
      }
    });
  });
});
