import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readModelFile } from "../packages/catalog/src/read-model.ts";
import { groupOf, namesOf, readWeightTable, type WeightTable } from "../packages/catalog/src/weight-table.ts";
import { ensureEngine, startHead, startWorker, type Engine, type Head } from "../packages/engine/src/index.ts";
import { createCopyBoard, type CopyBoard } from "../packages/engine/src/rpc/copy-board.ts";
import { createHeadStage, type HeadStage } from "../packages/engine/src/rpc/head-stage.ts";
import { relayWorker, type RelayedWorker } from "./fixtures/relayed-worker.ts";
import { openStressLog } from "./fixtures/stress-log.ts";

const MODEL = resolve(import.meta.dirname, "../models/demo-16l-q8_0.gguf");
const LAYERS = 16;
const HIDDEN_BYTES = 512;
/** Rounds of all chats over all shapes, to look for what happens once in a thousand times; without it a few of each: hours. */
const ROUNDS = Number(process.env["CLUSTERD_STRESS"] ?? 0);
/** Where the shapes that are done are kept (JSON by the line): a run that was cut short goes on with the others. */
const log = openStressLog(process.env["CLUSTERD_STRESS_LOG"]);
/** "2/3": the second third of the shapes only, to share them out. */
const [PART = 1, PARTS = 1] = (process.env["CLUSTERD_STRESS_PART"] ?? "1/1").split("/").map(Number);
const CHATS_ASKED = 5;
/** Tokens that stages take at a time: with few of them a prompt is many batches. */
const FEW_TOKENS = 32;
const SHORT_PROMPTS = 8;
/** Earlier turns in front of a question: together with it up to a few times what stages take at a time. */
const TURNS: readonly number[] = [2, 6, 11, 16, 19, 21];
const { signal } = new AbortController();

interface Turn {
  readonly role: "user" | "assistant";
  readonly content: string;
}

interface Question {
  readonly prompt: string;
  readonly expect: string;
  readonly match: string;
}

let engine: Engine;
let table: WeightTable;
let chats: readonly (readonly Turn[])[] = [];
/** What a single process answers to each, one at a time. */
let golden: readonly string[] = [];
let folder = "";

beforeAll(async () => {
  engine = await ensureEngine({ signal });
  table = await readWeightTable(await readModelFile(MODEL, { signal }), signal);
  const all = JSON.parse(await readFile(resolve(MODEL, "../questions.json"), "utf8")) as readonly Question[];
  const exact = all.filter(({ match }) => match === "exact");
  const asked = exact.filter((_, index) => index % Math.floor(exact.length / SHORT_PROMPTS) === 0);
  const user = ({ prompt }: Question): Turn => ({ role: "user", content: prompt });
  const long = TURNS.map((count, index) => [
    ...exact.slice(index, index + count).flatMap((turn): Turn[] => [user(turn), { role: "assistant", content: turn.expect }]),
    ...asked.slice(index, index + 1).map(user),
  ]);
  chats = [...asked.map((question) => [user(question)]), ...long];
  folder = await mkdtemp(join(tmpdir(), "clusterd-passing-"));
  await using stack = new AsyncDisposableStack();
  const { head } = await startOver(stack, { stages: 0, headLayers: LAYERS, slots: 1, board: null });
  const answers: string[] = [];
  for (const chat of chats) answers.push(await ask(head, chat));
  golden = answers;
}, 900_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Shape {
  readonly stages: number;
  readonly headLayers: number;
  readonly slots: number;
  readonly board: CopyBoard | null;
  /** Tokens that stages take at a time; absent: as deployed. */
  readonly batch?: number;
}

interface Placed {
  readonly head: Head;
  readonly stages: readonly { readonly relay: HeadStage; readonly relayed: RelayedWorker; readonly faults: readonly string[] }[];
}

/** A head over so many equal stages, real ends of a relay around real rpc-servers. */
async function startOver(stack: AsyncDisposableStack, { stages, headLayers, slots, board, batch }: Shape): Promise<Placed> {
  const boundary = (index: number): number => headLayers + Math.floor(((LAYERS - headLayers) * index) / Math.max(1, stages));
  const placed: (Placed["stages"][number] & { readonly layers: number })[] = [];
  for (let index = 0; index < stages; index += 1) {
    const [first, last] = [boundary(index), boundary(index + 1) - 1];
    const names = new Set([...table.keys()].filter((name) => within(groupOf(name), first, last)));
    const worker = stack.use(await startWorker({ engine, threads: 1, deviceId: null, signal, weightFiles: [MODEL] }));
    const faults: string[] = [];
    const relay = stack.use(
      createHeadStage({
        weights: new Map([...table].map(([name, { bytes }]) => [name, bytes])),
        layers: Array.from({ length: last - first + 1 }, (_, layer) => namesOf(table, first + layer)),
        local: names,
        missing: new Set(),
        hiddenBytes: HIDDEN_BYTES,
        decodeTokensMax: slots,
        probe: () => Promise.resolve(true),
        ...(board === null ? {} : { copies: board }),
        onLost: (reason) => void faults.push(reason),
        onStalled: (reason) => void faults.push(reason),
      }),
    );
    const weights = { parts: [MODEL], places: new Map([...table].filter(([name]) => names.has(name))) };
    const memoryBytes = 256 * 1024 * 1024;
    const relayed = stack.use(await relayWorker(worker.port, relay, { memoryBytes, weights, readsWeights: true }));
    placed.push({ relay, relayed, faults, layers: last - first + 1 });
  }
  const workers = placed.map(({ relayed: { endpoint }, layers }) => ({ endpoint, layers }));
  const spec = { modelPath: MODEL, modelId: "demo", layers: { head: headLayers, workers }, layerCount: LAYERS };
  const llamaServer = batch === undefined ? engine.llamaServer : await withBatch(batch);
  const head = stack.use(
    await startHead({
      ...{ engine: { llamaServer }, ...spec, context: 1024, slots, kv: "f16", threads: 1, acceleratorId: null },
      ...{ mapped: stages > 0, signal },
    }),
  );
  return { head, stages: placed };
}

async function withBatch(tokens: number): Promise<string> {
  const path = join(folder, `llama-server-${tokens}`);
  await writeFile(path, `#!/bin/sh\nexec "${engine.llamaServer}" "$@" -ub ${tokens}\n`, { mode: 0o755 });
  return path;
}

const within = (group: number | null, first: number, last: number): boolean =>
  group === null || (group >= first && group <= last);

async function ask(head: Head, messages: readonly Turn[]): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${head.port}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${head.apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ messages, temperature: 0, max_tokens: 60, cache_prompt: false }),
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  const body = (await response.json()) as { choices: readonly { message: { content: string } }[] };
  return body.choices[0]?.message.content ?? "";
}

const stepsAsked = (): number => (ROUNDS > 0 ? chats.length : CHATS_ASKED);

/** As many clients as there are slots, each with its own order of chats; the answers that were others. */
async function askAll(head: Head, clients: number, round: number): Promise<readonly string[]> {
  const wrong: string[] = [];
  const client = async (own: number): Promise<void> => {
    for (let step = 0; step < stepsAsked(); step += 1) {
      const index = (step * (own % 2 === 0 ? 3 : 5) + own * 4 + round) % chats.length;
      const answer = await ask(head, chats[index] ?? []);
      if (answer !== golden[index]) wrong.push(`chat ${index}: ${JSON.stringify(answer)} for ${JSON.stringify(golden[index])}`);
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, own) => client(own)));
  return wrong;
}

type Row = readonly [stages: number, headLayers: number, slots: number, batch: number | undefined];
const SHAPES: readonly Row[] = [
  [2, 4, 4, undefined],
  [3, 0, 2, FEW_TOKENS],
  [4, 0, 4, undefined],
];
const MORE_SHAPES: readonly Row[] = [1, 2, 4].flatMap((slots) =>
  [2, 3, 4].flatMap((stages) =>
    [0, 3].flatMap((own) => [FEW_TOKENS, undefined].map((batch): Row => [stages, own, slots, batch])),
  ),
);

const nameOf = ([stages, headLayers, slots, batch]: Row): string =>
  `${stages} stages, ${headLayers} layers on the head, ${slots} at once, ${batch ?? "all"} tokens at a time`;
const asked: readonly Row[] =
  ROUNDS > 0 ? MORE_SHAPES.filter((row, at) => at % PARTS === PART - 1 && !log.isDone(nameOf(row), ROUNDS)) : SHAPES;

describe("results that go from stage to stage", () => {
  test.each(asked.map((row) => [nameOf(row), row] as const))(
    "%s: the single process's answers",
    async (shape, [stages, headLayers, slots, batch]) => {
      await using stack = new AsyncDisposableStack();
      const beganMs = performance.now();
      const board = stack.use(createCopyBoard());
      const placed = await startOver(stack, { stages, headLayers, slots, board, ...(batch === undefined ? {} : { batch }) });
      const wrong: string[] = [];
      let answers = 0;
      for (let round = 0; round < Math.max(1, ROUNDS) && wrong.length === 0; round += 1) {
        wrong.push(...(await askAll(placed.head, slots, round)));
        answers += slots * stepsAsked();
      }
      for (const { relayed, faults } of placed.stages) wrong.push(...faults, ...relayed.errors.map(String));
      const { promised } = board;
      const seconds = Math.round((performance.now() - beganMs) / 1000);
      if (ROUNDS > 0) log.add({ shape, rounds: ROUNDS, seconds, answers, promised, wrong });
      expect(wrong).toEqual([]);
      // Every token of every answer, but for the first few of all.
      expect(promised).toBeGreaterThan(CHATS_ASKED * (stages - 1));
    },
    900_000,
  );

  test("by way of the head's engine: the same answers", async () => {
    await using stack = new AsyncDisposableStack();
    const placed = await startOver(stack, { stages: 4, headLayers: 0, slots: 4, board: null });
    expect(await askAll(placed.head, 4, 0)).toEqual([]);
  }, 600_000);
});
