import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readModelFile } from "../packages/catalog/src/read-model.ts";
import { ensureEngine, startHead, startWorker, type BufferKind, type Engine } from "../packages/engine/src/index.ts";
import { costModel, PROCESS_BYTES } from "../packages/planner/src/cost.ts";
import { cellsFor, type KvType, type ModelProfile } from "../packages/wire/src/index.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../scripts/make-model.ts");
const run = promisify(execFile);
const { signal } = new AbortController();
/** How far a figure may be from the engine's own: 5 %, or what it rounds away of a few buffers' sizes (0.01 MiB each). */
const SHARE_OFF_MAX = 0.05;
const ROUNDING_BYTES = 32 * 1024;

let engine: Engine;
let folder = "";
beforeAll(async () => {
  engine = await ensureEngine({ signal });
  folder = await mkdtemp(join(tmpdir(), "clusterd-costs-"));
}, 900_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Shapes in the proportions of real models, an eighth as wide. Weights play no part in what is allocated: headers suffice. */
const SHAPES = {
  "dense: Llama": "--layers 5 --width 512 --heads 4 --kv-heads 1 --head-width 128 --feed-forward 1792",
  "tied embeddings: Qwen3": "--arch qwen3 --layers 4 --width 512 --heads 8 --kv-heads 4 --feed-forward 1536 --tied --vocab 20000",
  "experts: Qwen3-235B":
    "--arch qwen3moe --layers 5 --width 512 --heads 8 --kv-heads 1 --head-width 128 --experts 16 --experts-used 8 --expert-feed-forward 192",
  "latent attention, experts, dense layers first: DeepSeek-V3":
    "--arch deepseek2 --layers 4 --dense-lead 1 --width 896 --heads 16 --query-rank 192 --kv-rank 512 --rope-width 64 " +
    "--no-position-width 128 --value-width 128 --feed-forward 2304 --experts 16 --experts-used 8 --expert-feed-forward 256",
  "layers for later tokens, small":
    "--arch deepseek2 --layers 4 --dense-lead 1 --next-token-layers 1 --width 896 --heads 16 --query-rank 192 --kv-rank 512 --rope-width 64 " +
    "--no-position-width 128 --value-width 128 --feed-forward 2304 --experts 16 --experts-used 8 --expert-feed-forward 256",
  "sliding window: Gemma 3":
    "--arch gemma3 --layers 6 --width 672 --heads 4 --kv-heads 2 --head-width 128 --feed-forward 2688 --window 128",
  "sliding window, experts: gpt-oss":
    "--arch gpt-oss --layers 4 --width 352 --heads 8 --kv-heads 1 --experts 8 --experts-used 4 --expert-feed-forward 352",
  "delta net, attention, experts: Qwen3-Next":
    "--arch qwen3next --layers 4 --width 512 --heads 4 --kv-heads 1 --head-width 256 --rope-width 64 --experts 16 --experts-used 10 " +
    "--expert-feed-forward 128 --shared-feed-forward 128 --state-width 128 --state-heads 8 --inner-width 1024 --state-groups 4",
  "Mamba 2, attention, experts: Granite 4":
    "--arch granitehybrid --layers 4 --width 512 --heads 4 --kv-heads 1 --head-width 128 --experts 16 --experts-used 10 " +
    "--expert-feed-forward 96 --shared-feed-forward 192 --inner-width 1024 --state-width 128 --state-heads 16 --tied",
  "embeddings, encoder: BERT": "--arch bert --layers 4 --width 384",
  "embeddings, encoder with a gate: Nomic": "--arch nomic-bert --layers 4 --width 512 --vocab 20000",
  "embeddings of the last token: Qwen3":
    "--arch qwen3 --layers 4 --width 512 --heads 8 --kv-heads 4 --feed-forward 1536 --tied --vocab 20000 --pooling last",
  "embeddings by the mean: Qwen3":
    "--arch qwen3 --layers 4 --width 512 --heads 8 --kv-heads 4 --feed-forward 1536 --tied --vocab 20000 --pooling mean",
  "recurrent only: Mamba 2": "--arch mamba2 --layers 3 --width 1024 --state-width 128",
  "short convolutions: LFM2": "--arch lfm2 --layers 4 --width 512 --heads 8 --kv-heads 4 --feed-forward 2048",
} as const;
type Shape = keyof typeof SHAPES;

interface Use {
  readonly context: number;
  readonly slots: number;
  readonly kv: KvType;
  readonly flashAttention?: boolean;
}

const made = new Map<Shape, Promise<{ readonly path: string; readonly profile: ModelProfile }>>();

function modelOf(shape: Shape): Promise<{ readonly path: string; readonly profile: ModelProfile }> {
  const make = async (): Promise<{ readonly path: string; readonly profile: ModelProfile }> => {
    const path = join(folder, `${SHAPES[shape].replaceAll(/\W+/g, "-")}.gguf`);
    await run(process.execPath, [MAKE_MODEL, path, "--header-only", ...SHAPES[shape].split(" ")]);
    return { path, profile: (await readModelFile(path, { signal })).profile };
  };
  const model = made.get(shape) ?? make();
  made.set(shape, model);
  return model;
}

/** What a stage takes, by the plan's figures or by the engine's log. */
type Taken = Readonly<Record<"weights" | "keysAndValues" | "state" | "buffers", number>>;

/** Loads a model over stages of so many layers, the head's first, and gives for each what was planned and what the engine says. */
async function load(
  shape: Shape,
  { context, slots, kv, flashAttention = true }: Use,
  counts?: readonly number[],
): Promise<readonly { readonly planned: Taken; readonly engine: Taken }[]> {
  const { path, profile } = await modelOf(shape);
  const layers = counts ?? [profile.layers.length];
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
      modelId: shape,
      layers: { head: layers[0] ?? 0, workers },
      layerCount: profile.layers.length,
      ...{ context, slots, kv, flashAttention },
      threads: 1,
      acceleratorId: null,
      embedding: profile.embedding ?? null,
      signal,
    }),
  );
  const busy = layers.filter((count) => count > 0).length;
  // As the head is started: two stages overlap with fewer tokens at a time.
  const microBatchTokens = busy > 1 ? 256 : 512;
  const cost = costModel(profile, context, slots, kv, undefined, { microBatchTokens, speculation: "off", flashAttention });
  const { embedding, vocabularySize, embeddingLength } = profile;
  const textTokens = embedding?.whole === true ? cellsFor(context) : embedding ? microBatchTokens : 0;
  const outputBytes = 4 * Math.min(textTokens, context * slots) * (vocabularySize + embeddingLength);
  return layers.map((count, index) => {
    const first = layers.slice(0, index).reduce((sum, before) => sum + before, 0);
    const own = profile.layers.slice(first, first + count);
    const state = own.reduce((sum, layer) => sum + layer.stateBytes, 0) * slots;
    const cache =
      cost.layers.slice(first, first + count).reduce((sum, layer) => sum + layer.kvBytesPerToken, 0) * context * slots;
    const weights = cost.layers.slice(first, first + count).reduce((sum, layer) => sum + layer.weightBytes, 0);
    const endpoint = index === 0 ? null : (workers[index - 1]?.endpoint ?? "");
    const told = (...kinds: readonly BufferKind[]): number =>
      head.buffers
        .filter((buffer) => buffer.endpoint === endpoint && kinds.includes(buffer.kind))
        .reduce((sum, buffer) => sum + buffer.bytes, 0);
    return {
      planned: {
        weights: weights + (index === 0 ? profile.inputBytes + profile.outputBytes : 0),
        keysAndValues: cache - state,
        state,
        buffers: (index === 0 ? cost.costs.headBufferBytes : cost.costs.workerBufferBytes) - PROCESS_BYTES,
      },
      engine: {
        weights: told("model"),
        keysAndValues: told("KV"),
        state: told("RS"),
        // Room for the outputs of a batch of texts is made with the first one.
        buffers: textTokens > 0 && index === 0 ? told("compute") + outputBytes : told("compute", "output"),
      },
    };
  });
}

/** The parts that are further from the engine's own figure than allowed, with both figures. */
const wrong = (planned: Taken, taken: Taken): readonly string[] =>
  (Object.keys(taken) as (keyof Taken)[])
    .filter((part) => Math.abs(planned[part] - taken[part]) > Math.max(SHARE_OFF_MAX * taken[part], ROUNDING_BYTES))
    .map((part) => `${part}: planned ${planned[part]}, engine ${taken[part]}`);

/** A context that the shape can have. */
const contextFor = (shape: Shape, context: number): number => (shape === "embeddings, encoder: BERT" ? 512 : context);

const USES: readonly Use[] = [
  { context: 1024, slots: 1, kv: "f16" },
  { context: 2000, slots: 2, kv: "q8_0" },
];

test.each((Object.keys(SHAPES) as Shape[]).flatMap((shape) => USES.map((use) => ({ shape, ...use }))))(
  "$shape, $slots × $context tokens of $kv: every part as the engine says",
  async ({ shape, ...use }) => {
    const [stage] = await load(shape, { ...use, context: contextFor(shape, use.context) });
    expect(stage?.engine.weights).toBeGreaterThan(1e6);
    expect(wrong(stage?.planned as Taken, stage?.engine as Taken)).toEqual([]);
  },
);

test.each<Shape>([
  "dense: Llama",
  "tied embeddings: Qwen3",
  "experts: Qwen3-235B",
  "latent attention, experts, dense layers first: DeepSeek-V3",
  "sliding window: Gemma 3",
  "sliding window, experts: gpt-oss",
  "delta net, attention, experts: Qwen3-Next",
  "Mamba 2, attention, experts: Granite 4",
  "short convolutions: LFM2",
])("%s without flash attention: every part as the engine says", async (shape) => {
  const [stage] = await load(shape, { context: 2000, slots: 2, kv: "f16", flashAttention: false });
  expect(wrong(stage?.planned as Taken, stage?.engine as Taken)).toEqual([]);
});

test.each<[Shape, Use, readonly number[]]>([
  ["dense: Llama", { context: 2048, slots: 2, kv: "f16", flashAttention: false }, [2, 3]],
  ["sliding window: Gemma 3", { context: 2048, slots: 1, kv: "f16", flashAttention: false }, [3, 3]],
  ["dense: Llama", { context: 1024, slots: 2, kv: "f16" }, [2, 3]],
  ["sliding window, experts: gpt-oss", { context: 1024, slots: 1, kv: "q4_0" }, [1, 3]],
  ["delta net, attention, experts: Qwen3-Next", { context: 1024, slots: 1, kv: "f16" }, [2, 2]],
  ["embeddings, encoder: BERT", { context: 512, slots: 1, kv: "f16" }, [2, 2]],
  ["embeddings, encoder with a gate: Nomic", { context: 2048, slots: 1, kv: "f16" }, [1, 3]],
  ["embeddings by the mean: Qwen3", { context: 1024, slots: 1, kv: "f16" }, [2, 2]],
])("%s over a worker: every part of both stages", async (shape, use, counts) => {
  const stages = await load(shape, use, counts);
  expect(stages).toHaveLength(2);
  for (const { planned, engine: taken } of stages) expect(wrong(planned, taken)).toEqual([]);
});

test("a head without layers, and workers with few, take no more than is planned", async () => {
  for (const [index, { planned, engine: taken }] of (
    await load("experts: Qwen3-235B", { context: 1024, slots: 1, kv: "f16" }, [0, 1, 4])
  ).entries()) {
    expect(taken.buffers, `stage ${index}`).toBeLessThan(planned.buffers * (1 + SHARE_OFF_MAX));
    expect(wrong({ ...planned, buffers: 0 }, { ...taken, buffers: 0 })).toEqual([]);
  }
});
