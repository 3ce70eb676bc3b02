import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createPredictionLog, type PredictionEntry } from "./prediction-log.ts";

let folder = "";
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "clusterd-predictions-"))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const entry = (run: string, error: number): PredictionEntry => ({
  run,
  at: "2026-01-01T00:00:00.000Z",
  model: "m",
  context: 512,
  stages: [{ node: "a", layers: 4, source: "probe" }],
  predicted: 10,
  low: 9,
  high: 11,
  measured: 10 * (1 + error),
  error,
});
const runs = async (file: string): Promise<(string | number)[][]> =>
  (JSON.parse(await readFile(file, "utf8")) as PredictionEntry[]).map(({ run, error }) => [run, error]);

test("the newest outcome of a run stands, the oldest runs are forgotten, and a restart goes on", async () => {
  const file = join(folder, "home", "predictions.json");
  const log = createPredictionLog(file, expect.unreachable);
  log.record(entry("a/1", 0.5));
  log.record(entry("b/1", 0.1));
  await log.flushed();
  log.record(entry("a/1", 0.2));
  await log.flushed();
  expect(await runs(file)).toEqual([
    ["b/1", 0.1],
    ["a/1", 0.2],
  ]);
  const again = createPredictionLog(file, expect.unreachable);
  for (let run = 0; run < 250; run++) again.record(entry(`c/${run}`, 0));
  await again.flushed();
  const kept = await runs(file);
  expect(kept).toHaveLength(200);
  expect(kept[0]).toEqual(["c/50", 0]);
});

test("a damaged file is begun anew, and a folder that cannot be is told of", async () => {
  const file = join(folder, "predictions.json");
  await writeFile(file, "[{");
  const log = createPredictionLog(file, expect.unreachable);
  log.record(entry("a/1", 0));
  await log.flushed();
  expect(await runs(file)).toEqual([["a/1", 0]]);
  const told: string[] = [];
  const stuck = createPredictionLog(join(file, "below", "predictions.json"), (message) => told.push(message));
  stuck.record(entry("a/1", 0));
  await stuck.flushed();
  expect(told.join()).toContain("cannot be kept");
});
