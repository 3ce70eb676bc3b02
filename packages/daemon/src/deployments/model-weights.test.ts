import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createManifestStore,
  createWeightDigests,
  readModelFile,
  readWeightTable,
  withDigests,
  type Catalog,
  type ManifestStore,
  type TensorHash,
} from "@clusterd/catalog";
import { asContentId, type WorkerStartRequest } from "@clusterd/wire";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BUNDLED_MODELS } from "../offline/bundled-models.ts";
import { createModelWeights, groupsOf, stageWeights, type HeldWeights } from "./model-weights.ts";

const { signal } = new AbortController();
const file = await readModelFile(BUNDLED_MODELS[0]?.path ?? "", { signal });
const ID = asContentId(file.profile.contentId);
let present: typeof file | null = file;
const catalog = { byContent: () => present } as unknown as Catalog;

let cacheDir: string;
beforeEach(async () => {
  present = file;
  cacheDir = await mkdtemp(join(tmpdir(), "clusterd-digests-"));
});
afterEach(() => rm(cacheDir, { recursive: true, force: true }));

test("stages that open one model at once share it: none writes over the other's digests", async () => {
  const weights = createModelWeights(catalog, cacheDir);
  const stages = [0, 4, 8, 12].map((firstLayer) => groupsOf({ firstLayer, lastLayer: firstLayer + 3 }));
  const digests = await Promise.all(
    stages.map(async (groups) => {
      const { table, digests } = await weights.open(ID, signal);
      return { table, digests: await digests(groups, signal) };
    }),
  );
  expect(new Set(digests.map(({ table }) => table)).size).toBe(1);
  for (const { digests: told } of digests) for (const digest of told) expect(digest).toMatch(/^[0-9a-f]{64}$/);
});

test("one who gives up does not spoil it for the others, and a file that is gone is no model", async () => {
  const weights = createModelWeights(catalog, cacheDir);
  const gone = AbortSignal.abort(new Error("given up"));
  const [first, second] = await Promise.allSettled([weights.open(ID, gone), weights.open(ID, signal)]);
  expect(first.status).toBe("rejected");
  expect(second.status).toBe("fulfilled");
  present = null;
  await expect(weights.open(ID, signal)).rejects.toMatchObject({ code: "model_broken" });
});

describe("where head and worker have a layer otherwise", () => {
  const LAYER = 5;
  const FIRST = 4;
  let bent: typeof file;
  let manifests: ManifestStore;
  let tensors: ReadonlyMap<string, TensorHash>;
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), "clusterd-bent-"));
    const path = join(folder, "bent.gguf");
    const bytes = await readFile(file.path);
    const table = await readWeightTable(file, signal);
    tensors = await createWeightDigests({ file, table, cacheDir: join(folder, "digests") }).tensors([...table.keys()], signal);
    const at = table.get(`blk.${LAYER}.ffn_down.weight`)?.position ?? 0;
    bytes[at + 9] = (bytes[at + 9] ?? 0) ^ 1;
    await writeFile(path, bytes);
    bent = await readModelFile(path, { signal });
    // The same for both: it is known by the model's content.
    manifests = createManifestStore(join(folder, "manifests"));
    return () => rm(folder, { recursive: true, force: true });
  });

  /** What a worker with its own file holds of what a head with another asks for. */
  async function heldBy(worker: typeof file, head: typeof file): Promise<HeldWeights> {
    const stage = { firstLayer: FIRST, lastLayer: FIRST + 2 };
    present = head;
    const told = await (
      await createModelWeights(catalog, join(cacheDir, "head")).open(ID, signal)
    ).digests(groupsOf(stage), signal);
    present = worker;
    const request = { ...stage, contentId: ID, digests: told } as unknown as WorkerStartRequest;
    return createModelWeights(catalog, join(cacheDir, "worker"), manifests).heldFor(request, signal);
  }

  test("without a manifest the head's counts", async () => {
    expect(await heldBy(file, bent)).toMatchObject({ held: [true, false, true, true], differing: [LAYER], overruled: [] });
  });

  test("with one, the copy that is what the hub says", async () => {
    for (const source of ["file", "member", "hub"] as const) {
      await manifests.add(file, (bare) => withDigests(bare, { source, parts: [], tensors, blocks: new Map() }), signal);
      const isKnown = source !== "file";
      expect(await heldBy(file, bent)).toMatchObject({
        held: [true, isKnown, true, true],
        differing: isKnown ? [] : [LAYER],
        overruled: isKnown ? [LAYER] : [],
      });
      // Its own copy has changed: the head sends the layer.
      expect(await heldBy(bent, file)).toMatchObject({ held: [true, false, true, true], differing: [LAYER], overruled: [] });
    }
  });
});

test("a layer for later tokens, which an engine leaves out unless it speculates with it, is not waited for", () => {
  const place = { part: 0, position: 0, bytes: 1 };
  const names = ["blk.0.attn_norm.weight", "blk.1.attn_norm.weight", "blk.1.nextn.eh_proj.weight"];
  const books = stageWeights(new Map(names.map((name) => [name, place])), [0, 1], [null, null], [false, false]);
  expect(books.layers).toEqual([["blk.0.attn_norm.weight"]]);
  expect([...books.missing]).toEqual(names);
});
