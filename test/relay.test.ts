import { copyFile, mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readModelFile } from "../packages/catalog/src/read-model.ts";
import { groupOf, namesOf, readWeightTable, type WeightTable } from "../packages/catalog/src/weight-table.ts";
import { ensureEngine, startHead, startWorker, type Engine, type Head, type Worker } from "../packages/engine/src/index.ts";
import { createHeadStage, type HeadStage, type HeadStageOptions } from "../packages/engine/src/rpc/head-stage.ts";
import type { WorkerRelayOptions } from "../packages/engine/src/rpc/worker-relay.ts";
import { relayWorker, type RelayedWorker } from "./fixtures/relayed-worker.ts";

const MODEL = resolve(import.meta.dirname, "../models/demo-16l-q8_0.gguf");
const LAYERS = 16;
const HIDDEN_BYTES = 512;
const { signal } = new AbortController();

interface Question {
  readonly prompt: string;
  readonly expect: string;
  readonly match: string;
}

let engine: Engine;
let table: WeightTable;
let folder = "";
let questions: readonly Question[] = [];

beforeAll(async () => {
  engine = await ensureEngine({ signal });
  table = await readWeightTable(await readModelFile(MODEL, { signal }), signal);
  folder = await mkdtemp(join(tmpdir(), "clusterd-relay-"));
  const all = JSON.parse(await readFile(resolve(MODEL, "../questions.json"), "utf8")) as readonly Question[];
  questions = all.filter(({ match }) => match === "exact").filter((_, index) => index % 12 === 0);
}, 900_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Stage {
  readonly relay: HeadStage;
  readonly worker: Worker;
  readonly relayed: RelayedWorker;
  readonly lost: string[];
  readonly stalled: string[];
}

/** What a worker has: the weights, our patch; and a head with nothing but holes. */
interface Own {
  readonly weights: boolean;
  readonly patched: boolean;
  readonly hollowHead?: boolean;
  /** Whether questions and graphs travel packed. */
  readonly packs?: boolean;
}

const layersFrom = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** One stage with real ends of a relay around a real rpc-server. */
async function startStage(stack: AsyncDisposableStack, [first, last]: readonly [number, number], own: Own): Promise<Stage> {
  const names = new Set(
    [...table.keys()].filter((name) => ((group) => group === null || (group >= first && group <= last))(groupOf(name))),
  );
  const weights: WorkerRelayOptions["weights"] = own.weights
    ? { parts: [MODEL], places: new Map([...table].filter(([name]) => names.has(name))) }
    : null;
  const readsWeights = own.weights && own.patched;
  const worker = stack.use(
    await startWorker({ engine, threads: 1, deviceId: null, signal, ...(readsWeights ? { weightFiles: [MODEL] } : {}) }),
  );
  const [lost, stalled]: [string[], string[]] = [[], []];
  const options: HeadStageOptions = {
    weights: new Map([...table].map(([name, { bytes }]) => [name, bytes])),
    layers: layersFrom(first, last).map((layer) => namesOf(table, layer)),
    local: own.weights ? names : new Set(),
    missing: own.hollowHead === true ? names : new Set(),
    hiddenBytes: HIDDEN_BYTES,
    packs: own.packs ?? false,
    decodeTokensMax: 1,
    probe: () => Promise.resolve(true),
    onLost: (reason) => void lost.push(reason),
    onStalled: (reason) => void stalled.push(reason),
  };
  const relay = stack.use(createHeadStage(options));
  const relayed = stack.use(await relayWorker(worker.port, relay, { memoryBytes: 256 * 1024 * 1024, weights, readsWeights }));
  return { relay, worker, relayed, lost, stalled };
}

async function startOver(stack: AsyncDisposableStack, stages: readonly Stage[], modelPath = MODEL): Promise<Head> {
  const layers = LAYERS / Math.max(1, stages.length);
  return stack.use(
    await startHead({
      engine,
      modelPath,
      modelId: "demo",
      layers: {
        head: stages.length === 0 ? LAYERS : 0,
        workers: stages.map(({ relayed }) => ({ endpoint: relayed.endpoint, layers })),
      },
      layerCount: LAYERS,
      context: 512,
      slots: 1,
      kv: "f16",
      threads: 1,
      acceleratorId: null,
      mapped: stages.length > 0,
      signal,
    }),
  );
}

async function ask(head: Head, prompt: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${head.port}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${head.apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ messages: [{ role: "user", content: prompt }], temperature: 0, max_tokens: 100 }),
  });
  const body = (await response.json()) as { choices: readonly { message: { content: string } }[] };
  return body.choices[0]?.message.content ?? "";
}

/** A copy of the model with nothing but holes where all its layers are. */
async function hollowModel(): Promise<string> {
  const path = join(folder, "hollow.gguf");
  await copyFile(MODEL, path);
  await using file = await open(path, "r+");
  for (const [name, { position, bytes }] of table)
    if (groupOf(name) !== null || name === "output_norm.weight") await file.write(Buffer.alloc(bytes), 0, bytes, position);
  return path;
}

const modelBytes = (): number => [...table].reduce((sum, [name, { bytes }]) => sum + (groupOf(name) === null ? 0 : bytes), 0);

describe("two stages behind the relay", () => {
  test.each<[string, Own]>([
    ["weights on the workers, an engine with our patch", { weights: true, patched: true }],
    ["weights on the workers, an engine without it", { weights: true, patched: false }],
    ["weights on the head alone", { weights: false, patched: true }],
    ["a head whose file has holes", { weights: true, patched: true, hollowHead: true }],
    ["packed, an engine without our patch", { weights: true, patched: false, packs: true }],
  ])("%s: right answers, and the books are right", async (_, own) => {
    await using stack = new AsyncDisposableStack();
    const stages = [await startStage(stack, [0, 7], own), await startStage(stack, [8, 15], own)];
    const head = await startOver(stack, stages, own.hollowHead === true ? await hollowModel() : MODEL);
    for (const { prompt, expect: wanted } of questions) expect(await ask(head, prompt)).toBe(wanted);
    for (const { relay, relayed, lost, stalled } of stages) {
      relay.load.assertComplete();
      const { injectedBytes, sentBytes } = relay.load.summary;
      if (own.weights) expect(sentBytes).toBe(0);
      else expect(injectedBytes).toBe(0);
      expect(injectedBytes + sentBytes).toBeGreaterThanOrEqual(modelBytes() / 2);
      // What crosses is the talk of a load and of some hundred tokens, or the weights besides.
      if (own.weights) expect(relayed.wireBytes().up).toBeLessThan(modelBytes());
      else expect(relayed.wireBytes().up).toBeGreaterThan(modelBytes() / 2);
      expect(relay.meter.timing?.steps).toBeGreaterThan(20);
      expect(relay.meter.timing?.computeMs.p50).toBeGreaterThan(0);
      expect([lost, stalled, relayed.errors]).toEqual([[], [], []]);
    }
  });

  test("packed: the same text, and a load in a fifth of the bytes", async () => {
    const run = async (packs: boolean): Promise<{ readonly loadBytes: number; readonly texts: readonly string[] }> => {
      await using stack = new AsyncDisposableStack();
      const own = { weights: true, patched: true, packs };
      const stages = [await startStage(stack, [0, 7], own), await startStage(stack, [8, 15], own)];
      const head = await startOver(stack, stages);
      const loadBytes = stages.reduce((sum, { relayed }) => sum + relayed.wireBytes().up, 0);
      const texts: string[] = [];
      for (const { prompt } of questions) texts.push(await ask(head, prompt));
      for (const { relayed, lost, stalled } of stages) expect([lost, stalled, relayed.errors]).toEqual([[], [], []]);
      return { loadBytes, texts };
    };
    const [plain, packed] = [await run(false), await run(true)];
    expect(packed.texts).toEqual(plain.texts);
    expect(packed.loadBytes).toBeLessThan(plain.loadBytes / 5);
  });

  test("a head of zeros that its workers do not make good is refused by name", async () => {
    await using stack = new AsyncDisposableStack();
    const stage = await startStage(stack, [0, 15], { weights: false, patched: true, hollowHead: true });
    await expect(startOver(stack, [stage], await hollowModel())).rejects.toThrow();
    expect(stage.relayed.errors.join()).toMatch(/\S+\.weight is neither in the head's file nor in the worker's/);
  });
});
