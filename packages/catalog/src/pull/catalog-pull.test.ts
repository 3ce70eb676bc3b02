import { mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { openCatalog, type Catalog } from "../catalog.ts";
import { startTestHub } from "../testing/hub-server.ts";

const DEMO = await readFile(fileURLToPath(new URL("../../../../models/demo-16l-q8_0.gguf", import.meta.url)));
const folder = await mkdtemp(join(tmpdir(), "clusterd-catalog-pull-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const { signal } = new AbortController();
const options = { signal, onProgress: () => {} };

const open = (home: string, endpoint: string): Promise<Catalog> =>
  openCatalog({ home, bundled: [], signal, env: { HF_ENDPOINT: endpoint } });

test("a pulled model is known by its REF, now and after a restart, until it is removed", async () => {
  await using hub = await startTestHub({ files: { "demo-Q8_0.gguf": DEMO } });
  const home = join(folder, "home");
  const catalog = await open(home, hub.endpoint);
  await expect(catalog.resolve("hf:o/r", signal)).rejects.toThrow(/not on this node/u);
  const { path, id, bytes } = await catalog.pull("hf:o/r", options);
  expect({ id, bytes }).toEqual({ id: "o/r:Q8_0", bytes: DEMO.length });
  for (const each of [catalog, await open(home, hub.endpoint)]) {
    expect(each.list().map(({ file }) => file.profile.id)).toEqual(["o/r:Q8_0"]);
    for (const ref of ["hf:o/r", "hf:O/R:q8_0", "o/r:Q8_0", "hf:o/r:Q8_0@main"])
      expect((await each.resolve(ref, signal)).profile.id).toBe("o/r:Q8_0");
    expect(each.known("hf:o/r:Q4_K_M")).toBeNull();
  }
  // A file of the user's own with the same name elsewhere is not ours to delete.
  const own = join(folder, "own.gguf");
  await writeFile(own, Buffer.concat([DEMO, Buffer.alloc(32)]));
  const freed = await catalog.remove("hf:o/r");
  expect(freed).toMatchObject({ id: "o/r:Q8_0", bytes: DEMO.length });
  expect(catalog.list()).toEqual([]);
  expect(await readdir(join(path, ".."))).toEqual(["pulled.json"]);
  await expect(catalog.remove("hf:o/r")).rejects.toMatchObject({ code: "not_found" });
});

test("only what was pulled is removed, and nothing outside the models folder is read or touched", async () => {
  await using hub = await startTestHub({ files: { "demo-Q8_0.gguf": DEMO } });
  const home = join(folder, "other");
  const own = join(folder, "mine.gguf");
  await writeFile(own, DEMO);
  const catalog = await open(home, hub.endpoint);
  await catalog.resolve(own, signal);
  await expect(catalog.remove("mine")).rejects.toThrow(/not pulled/u);
  expect((await readFile(own)).equals(DEMO)).toBe(true);

  const { path } = await catalog.pull("hf:o/r", options);
  const repo = join(path, "..");
  const record = JSON.parse(await readFile(join(repo, "pulled.json"), "utf8")) as readonly object[];
  await writeFile(join(repo, "pulled.json"), JSON.stringify([{ ...record[0], path: "../../../../mine.gguf" }]));
  await symlink(folder, join(home, "models", "link"));
  const again = await open(home, hub.endpoint);
  expect(again.list().map(({ file }) => file.profile.id)).toEqual(["mine"]);
  await expect(again.remove("mine")).rejects.toThrow(/not pulled/u);
  expect((await readFile(own)).equals(DEMO)).toBe(true);
});

test("a model that lies elsewhere too stays, without the name it was pulled by", async () => {
  await using hub = await startTestHub({ files: { "demo-Q8_0.gguf": DEMO } });
  const home = join(folder, "third");
  const own = join(folder, "copy.gguf");
  await writeFile(own, DEMO);
  const catalog = await open(home, hub.endpoint);
  await catalog.resolve(own, signal);
  const { path } = await catalog.pull("hf:o/r", options);
  expect(catalog.known("hf:o/r")?.path).toBe(own);
  await catalog.remove("hf:o/r");
  expect(catalog.known("hf:o/r")).toBeNull();
  expect(catalog.known("copy")?.path).toBe(own);
  await expect(readFile(path)).rejects.toThrow();
});
