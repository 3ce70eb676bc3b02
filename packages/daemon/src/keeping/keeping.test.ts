import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  blocksFor,
  openCatalog,
  openShardStore,
  openWholeFile,
  readModelFile,
  type Catalog,
  type ShardStore,
} from "@clusterd/catalog";
import { asDeploymentId, asModelId, asNodeId } from "@clusterd/wire";
import { afterAll, expect, test } from "vitest";
import { BUNDLED_MODELS } from "../offline/bundled-models.ts";
import { removeModel, removeUnused } from "../pulls/remove-model.ts";
import type { DaemonState } from "../state/daemon-state.ts";
import type { Store } from "../state/store.ts";
import { diskCap } from "./disk-cap.ts";
import { createKeeping, type Keeping } from "./keeping.ts";
import { createUseBook, type UseBook } from "./use-book.ts";

const { signal } = new AbortController();
const DEMO = BUNDLED_MODELS[0]?.path ?? "";
const demo = await readModelFile(DEMO, { signal });
const { contentId } = demo.profile;
const content = await readFile(DEMO);
const folder = await mkdtemp(join(tmpdir(), "clusterd-keeping-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const [self, other] = [asNodeId("self"), asNodeId("other")];
let homes = 0;

interface Stage {
  readonly head: typeof self;
  readonly node: typeof self;
  readonly layers: readonly [number, number];
  readonly state?: string;
}

/** A state in which the demo model is deployed so, by another node's word. */
function stateWith(stages: readonly Stage[]): DaemonState {
  const deployments = stages.map(({ head, node, layers: [firstLayer, lastLayer], state = "ready" }, index) => ({
    id: asDeploymentId(`d${index}`),
    contentId,
    view: { model: asModelId("demo"), state, head, stages: [{ node, firstLayer, lastLayer }] },
  }));
  const advert = { node: other, name: "other", deployments };
  return {
    self,
    standing: { kind: "member" },
    own: { name: "self", pulls: [] },
    others: new Map([[other, { advert, state: "alive" }]]),
    deployments: new Map(),
  } as unknown as DaemonState;
}

interface Here extends AsyncDisposable {
  readonly home: string;
  readonly keeping: Keeping;
  readonly shards: ShardStore;
  readonly catalog: Catalog;
  readonly uses: UseBook;
  readonly evicted: string[];
  state: DaemonState;
  readonly config: Parameters<typeof removeModel>[0];
}

/** A home with layers of the demo model (all of them, for a head), and room for so many bytes. */
async function home(capBytes: number | null, usedAt: (key: string) => number | null = () => null): Promise<Here> {
  const path = join(folder, String(homes++));
  const models = join(path, "models");
  await mkdir(models, { recursive: true });
  const stack = new AsyncDisposableStack();
  const shards = stack.use(await openShardStore({ dir: join(models, ".shards"), cacheDir: join(folder, "profiles"), signal }));
  await using whole = await openWholeFile(demo, signal);
  const shard = await shards.begin(
    contentId,
    { model: "demo", names: whole.names, partBytes: [content.length], header: (part) => whole.header(part) },
    signal,
  );
  for (const block of shard.layout.blocks) await shard.put(block, await whole.read(block));
  await shard.record();
  const catalog = await openCatalog({ home: path, bundled: [], signal });
  const uses = createUseBook(() => undefined);
  const evicted: string[] = [];
  const here = { home: path, shards, catalog, uses, evicted, state: stateWith([]) };
  const store = {
    get state() {
      return here.state;
    },
    dispatch: () => undefined,
    subscribe: () => () => undefined,
  } as unknown as Store;
  const close = async (): Promise<void> => undefined;
  const changed = (): void => undefined;
  const onEvicted = ({ what }: { what: string }): void => void evicted.push(what);
  const common = { store, catalog, shards, modelsDir: models, close, changed };
  const keeping = stack.use(
    createKeeping({
      ...common,
      capBytes,
      uses,
      usedAt,
      used: () => undefined,
      onEvicted,
      log: () => undefined,
      settleMs: 0,
      signal,
    }),
  );
  return Object.assign(here, { keeping, config: { ...common, keeping }, [Symbol.asyncDispose]: () => stack.disposeAsync() });
}

/** Puts a model into a home as a pull leaves it. */
async function pulledInto({ home: path }: Here, repo: string, bytes: Buffer): Promise<string> {
  const place = join(path, "models", ...repo.split("/"));
  await mkdir(place, { recursive: true });
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  await writeFile(join(place, "x-Q8_0.gguf"), bytes);
  await writeFile(
    join(place, "pulled.json"),
    JSON.stringify([{ path: "x-Q8_0.gguf", bytes: bytes.length, sha256, commit: "ab", quantisation: "Q8_0" }]),
  );
  return join(place, "x-Q8_0.gguf");
}
const takes = async (here: Here): Promise<number> => (await (await here.shards.get(contentId))?.diskBytes()) ?? 0;

test("layers that the placement does not need go first, and those that it needs never", async () => {
  await using here = await home(content.length * 1.2);
  here.state = stateWith([{ head: other, node: self, layers: [4, 6] }]);
  // Something fits as it is.
  await here.keeping.makeRoom(100, "a trifle");
  expect(here.evicted).toEqual([]);
  const before = await takes(here);
  await here.keeping.makeRoom(Math.floor(content.length * 0.5), "another model");
  expect(here.evicted.length).toBeGreaterThan(3);
  const shard = await here.shards.get(contentId);
  const needed = blocksFor(shard?.layout ?? { parts: [], blocks: [] }, { firstLayer: 4, lastLayer: 6, isHead: false });
  expect(needed.length).toBeGreaterThan(0);
  for (const block of needed) expect(await shard?.isRight(block)).toBe(true);
  expect(await takes(here)).toBeLessThan(before * 0.8);
  // All that may go would not be enough: nothing goes.
  const gone = here.evicted.length;
  const wanted = here.keeping.makeRoom(content.length * 1.1, "a large model");
  await expect(wanted).rejects.toThrow(
    /a large model needs .*; of the .* that models may take on this node .* In use here: layers 4-6 of demo/u,
  );
  expect(here.evicted).toHaveLength(gone);
});

test.each([
  { why: "deployed with this node as its head", stages: [{ head: self, node: other, layers: [0, 15] as const }], kept: true },
  { why: "still being fetched", stages: [{ head: other, node: self, layers: [0, 15] as const, state: "fetching" }], kept: true },
  { why: "failed", stages: [{ head: other, node: self, layers: [0, 15] as const, state: "failed" }], kept: false },
  { why: "deployed elsewhere", stages: [{ head: other, node: other, layers: [0, 15] as const }], kept: false },
])("of a model that is $why: kept $kept", async ({ stages, kept }) => {
  await using here = await home(content.length * 1.2);
  here.state = stateWith(stages);
  const room = here.keeping.makeRoom(content.length * 1.18, "another model");
  if (kept) await expect(room).rejects.toThrow("In use here");
  else await room;
  expect(here.evicted).toEqual(kept ? [] : ["all parts of demo"]);
  expect(here.shards.list()).toHaveLength(kept ? 1 : 0);
});

test("what is being fetched or read by another node stays until that is over", async () => {
  await using here = await home(content.length * 1.2);
  {
    using _reading = here.uses.hold(contentId, { firstLayer: 0, lastLayer: 15, isHead: true });
    await expect(here.keeping.makeRoom(content.length, "another model")).rejects.toThrow("In use here");
    await expect(removeModel(here.config, "demo")).rejects.toThrow("another node is reading it");
  }
  // What others are about to write is not given away twice.
  using _coming = here.uses.coming(() => content.length, "other");
  await expect(here.keeping.makeRoom(content.length, "another model")).rejects.toThrow("needs");
  expect(here.evicted).toEqual([]);
});

test("parts go before pulled models, and files of one's own never", async () => {
  await using here = await home(null);
  const own = join(here.home, "models", "own.gguf");
  await copyFile(DEMO, own);
  const path = await pulledInto(here, "o/r", content);
  await here.catalog.refresh(signal);
  await here.keeping.look();
  await here[Symbol.asyncDispose]();
  // Beside the whole file its parts are of no use: they are the first to go, whatever was used when.
  await using again = await home(content.length * 2.5);
  const second = await pulledInto(again, "o/r", content);
  await copyFile(DEMO, join(again.home, "models", "own.gguf"));
  await again.catalog.refresh(signal);
  await again.keeping.makeRoom(content.length, "another model");
  expect(again.evicted).toEqual(["all parts of demo"]);
  expect((await stat(second)).size).toBe(content.length);
  await again.keeping.makeRoom(content.length * 2.4, "a third");
  expect(again.evicted).toEqual(["all parts of demo", "o/r:Q8_0"]);
  await expect(stat(second)).rejects.toThrow("ENOENT");
  for (const file of [join(again.home, "models", "own.gguf"), own, path]) expect((await stat(file)).size).toBe(content.length);
});

test("what is not needed is given back when it is asked for; what is deployed is not deleted", async () => {
  await using here = await home(null);
  here.state = stateWith([{ head: other, node: self, layers: [4, 6] }]);
  await expect(removeModel(here.config, "demo")).rejects.toThrow("demo is deployed from its file here");
  const before = await takes(here);
  const removed = await removeUnused(here.config, "demo");
  expect(removed).toMatchObject({ model: "demo", layers: "0-3,7-15" });
  expect(removed.bytes).toBeGreaterThan(before / 2);
  expect(await takes(here)).toBeLessThan(before / 2);
  expect(await removeUnused(here.config, "demo")).toMatchObject({ layers: "", bytes: 0 });
  here.state = stateWith([]);
  expect(await removeModel(here.config, "DEMO")).toMatchObject({ model: "demo", layers: null });
  expect(here.shards.list()).toEqual([]);
  await expect(removeUnused(here.config, "demo")).rejects.toThrow("There are no parts of demo");
  await expect(removeModel(here.config, "demo")).rejects.toMatchObject({ code: "not_found" });
});

test("the limit is kept for the next start, lifted on demand, and a damaged record is told of", async () => {
  const path = join(folder, "disk.json");
  const warned: string[] = [];
  const warn = (message: string): void => void warned.push(message);
  expect(await diskCap(path, undefined, warn)).toBeNull();
  expect(await diskCap(path, 5e9, warn)).toBe(5e9);
  expect(await diskCap(path, undefined, warn)).toBe(5e9);
  expect(await diskCap(path, null, warn)).toBeNull();
  expect(await diskCap(path, undefined, warn)).toBeNull();
  await writeFile(path, "{");
  expect([await diskCap(path, undefined, warn), warned.length]).toEqual([null, 1]);
});
