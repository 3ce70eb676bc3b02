import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readModelFile } from "@clusterd/catalog";
import { asNodeId, type PlanStage } from "@clusterd/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { copyWithHole, writeVariant } from "../../../../test/cluster/harness/model-copies.ts";
import { createModelWeights } from "./model-weights.ts";
import { checkOwnHoles } from "./own-holes.ts";

const SELF = asNodeId("self");
const { signal } = new AbortController();
let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-holes-"));
  path = await writeVariant(folder, "whole");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function check(of: string, firstLayer: number, lastLayer: number, node = "self"): Promise<void> {
  const file = await readModelFile(of, { signal });
  const weights = createModelWeights({ byContent: () => file }, join(folder, "digests"));
  const stages = [{ node, firstLayer, lastLayer } as PlanStage];
  await checkOwnHoles({ self: SELF, model: "m", file, stages, weights, signal });
}

test("a layer that is a hole in the head's own file is named before it is computed with", async () => {
  const holed = join(folder, "holed.gguf");
  await copyWithHole(path, holed, [5]);
  await expect(check(holed, 0, 7)).rejects.toMatchObject({
    code: "model_broken",
    message: expect.stringMatching(/^Layer 5 of m is a hole in /) as string,
  });
  // Its controls: other layers of that file, the same layer of a whole one, and what another node runs.
  await check(holed, 6, 15);
  await check(path, 0, 15);
  await check(holed, 0, 7, "other");
});
