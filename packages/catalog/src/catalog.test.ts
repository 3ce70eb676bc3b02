import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rename, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ClusterdError } from "@clusterd/wire";
import { openCatalog } from "./catalog.ts";
import { readModelFile } from "./read-model.ts";

const DEMO = fileURLToPath(new URL("../../../models/demo-16l-q8_0.gguf", import.meta.url));
const MAKE_MODEL = fileURLToPath(new URL("../../../scripts/make-model.ts", import.meta.url));
const signal = AbortSignal.timeout(60_000);
const folder = await mkdtemp(join(tmpdir(), "clusterd-catalog-"));
async function copy(name: string): Promise<string> {
  const path = join(folder, name);
  await cp(DEMO, path);
  return path;
}

test("the demo model's profile accounts for every tensor byte", async () => {
  const { profile } = await readModelFile(DEMO, { signal });
  expect(profile).toMatchObject({
    id: "demo-16l-q8_0",
    architecture: "llama",
    quantisation: "Q8_0",
    contextMax: 1024,
    vocabularySize: 1280,
    embeddingLength: 128,
    hiddenBytes: 512,
  });
  expect(profile.layers).toHaveLength(16);
  // 2 key/value heads of 32, keys and values.
  expect(profile.layers[0]?.kvElementsPerToken).toBe(128);
  const total = profile.layers.reduce((sum, layer) => sum + layer.weightBytes, 0) + profile.inputBytes + profile.outputBytes;
  const header = 45_856;
  expect(profile.fileBytes).toBe(3_753_248);
  expect(profile.fileBytes - header - total).toBeGreaterThanOrEqual(0);
  expect(profile.fileBytes - header - total).toBeLessThan(147 * 32);
});

test("the content id is of the header, not of the place; a kept profile is the same", async () => {
  const cacheDir = join(folder, "profiles");
  const path = await copy("elsewhere.gguf");
  const first = await readModelFile(path, { signal, cacheDir });
  expect(first.profile.contentId).toBe((await readModelFile(DEMO, { signal })).profile.contentId);
  expect((await readModelFile(path, { signal, cacheDir })).profile).toEqual(first.profile);
});

test.each([
  ["half", 1_876_624, /holds 1\.9 MB, its header says 3\.8 MB/],
  ["one byte short", 3_753_247, /cut short/],
  ["inside the header", 5_000, /header/],
  ["empty", 0, /empty/],
])("a file that is %s is refused with its sizes", async (name, size, message) => {
  const path = await copy(`${name.replaceAll(" ", "-")}.gguf`);
  await truncate(path, size);
  await expect(readModelFile(path, { signal })).rejects.toThrow(message);
});

test("absurd counts and random damage in the header are refused or read, never worse", async () => {
  const original = await readFile(DEMO);
  for (const at of [8, 16, 24]) {
    const damaged = Buffer.from(original);
    damaged.writeBigUInt64LE(2n ** 60n, at);
    const path = join(folder, `count-${at}.gguf`);
    await writeFile(path, damaged);
    await expect(readModelFile(path, { signal })).rejects.toThrow(ClusterdError);
  }
  for (let round = 0; round < 12; round++) {
    const damaged = Buffer.from(original);
    for (let hit = 0; hit < 20; hit++) damaged[Math.floor(Math.random() * 45_000)] = Math.floor(Math.random() * 256);
    const path = join(folder, "random.gguf");
    await writeFile(path, damaged);
    const outcome = await readModelFile(path, { signal }).then(
      () => "read",
      (error: unknown) => error,
    );
    expect(outcome === "read" || outcome instanceof ClusterdError, String(outcome)).toBe(true);
  }
});

test("a split model with a part missing names it", async () => {
  const path = await copy("big-00001-of-00003.gguf");
  await expect(readModelFile(path, { signal })).rejects.toThrow(/big-00002-of-00003\.gguf.*big-00003-of-00003\.gguf/);
});

test("the catalog knows bundled names, ids without case, and paths it has seen", async () => {
  const home = await mkdtemp(join(folder, "home-"));
  const catalog = await openCatalog({ home, bundled: [{ name: "demo", path: DEMO }], signal });
  expect(catalog.list()).toHaveLength(1);
  expect((await catalog.resolve("DEMO", signal)).path).toBe(DEMO);
  expect(catalog.known("Demo-16L-q8_0")?.path).toBe(DEMO);
  await expect(catalog.resolve("nothing", signal)).rejects.toThrow(/No model is called "nothing"/);
  await expect(catalog.resolve("/no/such/file.gguf", signal)).rejects.toMatchObject({ code: "not_found" });
  await expect(catalog.resolve("hf:a/b", signal)).rejects.toMatchObject({ code: "not_found" });
});

test("a path is a whole one: the daemon's own folder is nobody's meaning; any part of a split model means all of it", async () => {
  const home = await mkdtemp(join(folder, "paths-"));
  const catalog = await openCatalog({ home, bundled: [], signal });
  for (const ref of ["model.gguf", "./model.gguf", "../x/y", "a\\b"])
    await expect(catalog.resolve(ref, signal), ref).rejects.toMatchObject({ code: "usage" });
  await expect(catalog.resolve("o/r", signal)).rejects.toMatchObject({
    code: "not_found",
    next: expect.stringMatching(/From a hub: hf:o\/r/) as string,
  });
  const parts = ["split-00001-of-00002.gguf", "split-00002-of-00002.gguf"].map((name) => join(folder, name));
  await promisify(execFile)(process.execPath, [
    MAKE_MODEL,
    join(folder, "split.gguf"),
    "--layers",
    "4",
    "--width",
    "128",
    "--split",
    "2",
  ]);
  const file = await catalog.resolve(parts[1] ?? "", signal);
  expect(file).toMatchObject({ path: parts[0], parts, profile: { id: "split" } });
  for (const ref of parts) expect(catalog.known(ref)?.path).toBe(parts[0]);
  // Swapped, each says so; put back, it is the model again.
  const [first = "", second = ""] = parts;
  await rename(first, `${first}.x`);
  await rename(second, first);
  await rename(`${first}.x`, second);
  await expect(catalog.resolve(second, signal)).rejects.toThrow(
    /split-00001-of-00002\.gguf: its name says part 1 of 2, its header says part 2 of 2/,
  );
});
