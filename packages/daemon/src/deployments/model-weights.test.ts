import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readModelFile, type Catalog } from "@clusterd/catalog";
import { asContentId } from "@clusterd/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BUNDLED_MODELS } from "../offline/bundled-models.ts";
import { createModelWeights, groupsOf, stageWeights } from "./model-weights.ts";

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

test("a layer for later tokens, which an engine leaves out unless it speculates with it, is not waited for", () => {
  const place = { part: 0, position: 0, bytes: 1 };
  const names = ["blk.0.attn_norm.weight", "blk.1.attn_norm.weight", "blk.1.nextn.eh_proj.weight"];
  const books = stageWeights(new Map(names.map((name) => [name, place])), [0, 1], [null, null], [false, false]);
  expect(books.layers).toEqual([["blk.0.attn_norm.weight"]]);
  expect([...books.missing]).toEqual(names);
});
