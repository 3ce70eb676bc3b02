import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, open, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { recordPulled } from "../pull/pulled-files.ts";
import { TRUST_MS } from "../shards/block-trust.ts";
import { firstDifference, isDoubtful, leftovers, pulledCopies, quarantine, readAgain } from "./pulled-copies.ts";

const folder = await mkdtemp(join(tmpdir(), "clusterd-copies-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const { signal } = new AbortController();
const bytes = randomBytes(3 * 1024 * 1024 + 17);
const reading = { signal, onProgress: () => undefined };

/** A models folder with one model in it, as a pull leaves it. */
async function pulled(name: string): Promise<{ readonly models: string; readonly path: string }> {
  const models = join(folder, name);
  const repository = join(models, "o", "r");
  await mkdir(repository, { recursive: true });
  const path = join(repository, "x-Q8_0.gguf");
  await writeFile(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  await recordPulled(repository, { path: "x-Q8_0.gguf", bytes: bytes.length, sha256, commit: "abcd", quantisation: "Q8_0" });
  return { models, path };
}
async function flip(path: string, at: number): Promise<void> {
  await using file = await open(path, "r+");
  await file.write(Buffer.from([(bytes[at] ?? 0) ^ 1]), 0, 1, at);
}

test("what was just pulled is not read again; what somebody wrote to is, and what is long ago", async () => {
  const { models, path } = await pulled("doubts");
  const [copy] = await pulledCopies(models);
  expect(copy).toMatchObject({ id: "o/r:Q8_0", repo: "o/r", isModel: true, ref: "hf:o/r:Q8_0@abcd" });
  const [file] = copy?.files ?? [];
  if (copy === undefined || file === undefined) throw new Error("nothing was pulled");
  const now = Date.now();
  expect(await isDoubtful(file, now)).toBe(false);
  expect(await isDoubtful(file, now + TRUST_MS + 60_000)).toBe(true);
  expect(await isDoubtful({ ...file, record: { ...file.record, stamp: null } }, now)).toBe(true);
  // Touched alone it is still right, and known to be so.
  await utimes(path, new Date(1e12), new Date(1e12));
  expect(await isDoubtful(file, now)).toBe(true);
  expect(await readAgain(copy, file, reading)).toBe(true);
  const [again] = (await pulledCopies(models))[0]?.files ?? [];
  expect(again !== undefined && (await isDoubtful(again, Date.now()))).toBe(false);
});

test("a flipped bit is found wherever it is, and the file put aside where nobody lists it", async () => {
  const { models, path } = await pulled("flipped");
  const [copy] = await pulledCopies(models);
  const [file] = copy?.files ?? [];
  if (copy === undefined || file === undefined) throw new Error("nothing was pulled");
  for (const at of [0, 1024 * 1024, bytes.length - 1]) {
    await flip(path, at);
    expect(await readAgain(copy, file, reading)).toBe(false);
    await writeFile(path, bytes);
    expect(await readAgain(copy, file, reading)).toBe(true);
  }
  await flip(path, 2_000_000);
  const aside = await quarantine(copy, file);
  expect(await pulledCopies(models)).toEqual([]);
  expect(await readdir(join(models, "o", "r"))).toEqual(["pulled.json", "x-Q8_0.gguf.quarantined"]);
  expect(await leftovers(models)).toEqual([{ path: aside, repo: "o/r", isWrong: true }]);
  await writeFile(path, bytes);
  expect(await firstDifference(aside, path, signal)).toBe(2_000_000);
  expect(await firstDifference(path, path, signal)).toBeNull();
});

test("a file that was cut is not what was pulled, and reading ends when it is asked to", async () => {
  const { models, path } = await pulled("cut");
  const [copy] = await pulledCopies(models);
  const [file] = copy?.files ?? [];
  if (copy === undefined || file === undefined) throw new Error("nothing was pulled");
  const stop = new AbortController();
  const onProgress = (): void => stop.abort();
  await expect(readAgain(copy, file, { signal: stop.signal, onProgress })).rejects.toThrow(/abort/iu);
  await writeFile(path, bytes.subarray(1));
  expect(await readAgain(copy, file, reading)).toBe(false);
});
