import { cp, mkdtemp, readFile, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { ClusterdError } from "@clusterd/wire";
import { openCatalog } from "./catalog.ts";
import { readModelFile } from "./read-model.ts";

const DEMO = fileURLToPath(new URL("../../../models/demo-16l-q8_0.gguf", import.meta.url));
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
