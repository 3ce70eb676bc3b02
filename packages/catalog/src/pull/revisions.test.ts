import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { openCatalog, type Catalog } from "../catalog.ts";
import { startTestHub } from "../testing/hub-server.ts";

const MAKE_MODEL = fileURLToPath(new URL("../../../../scripts/make-model.ts", import.meta.url));
const DEMO = await readFile(fileURLToPath(new URL("../../../../models/demo-16l-q8_0.gguf", import.meta.url)));
const [FIRST, SECOND] = ["aaaa0000aaaa0000", "bbbb0000bbbb0000"];
const folder = await mkdtemp(join(tmpdir(), "clusterd-revisions-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const { signal } = new AbortController();
const options = { signal, onProgress: () => {} };
let homes = 0;

/** The demo model under another name in its header: another model. */
function called(name: string): Buffer {
  const bytes = Buffer.from(DEMO);
  bytes.write(name.padEnd(13, "."), bytes.indexOf("clusterd demo"));
  return bytes;
}
/** The same header, other weights. */
function flipped(): Buffer {
  const bytes = Buffer.from(DEMO);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 5_000) ^ 1, bytes.length - 5_000);
  return bytes;
}
const makeProjector = (name: string): Promise<Buffer> => {
  const path = join(folder, name);
  execFileSync(process.execPath, [MAKE_MODEL, path, "--projector", "--width", "128", "--type", "f16"], { stdio: "ignore" });
  return readFile(path);
};
const PROJECTOR = await makeProjector("mmproj.gguf");

/** One home, whose hub is another at every commit. */
async function homeAt(): Promise<{ readonly home: string; open(endpoint: string): Promise<Catalog> }> {
  const home = join(folder, String(homes++));
  return { home, open: (endpoint) => openCatalog({ home, bundled: [], signal, env: { HF_ENDPOINT: endpoint } }) };
}
const idsOf = (catalog: Catalog): readonly string[] =>
  catalog
    .list()
    .map(({ file }) => file.profile.id)
    .toSorted();

test("a branch that moved: the new files lie apart, the old ones stay as they were, and each answers to its own name", async () => {
  const { home, open } = await homeAt();
  const [old, now] = [called("old"), called("new")];
  await using before = await startTestHub({ files: { "m-Q8_0.gguf": old }, commit: FIRST });
  const first = await (await open(before.endpoint)).pull("hf:o/r", options);
  expect(first).toMatchObject({ id: "o/r:Q8_0", path: join(home, "models/o/r/m-Q8_0.gguf") });

  await using after = await startTestHub({ files: { "m-Q8_0.gguf": now }, commit: SECOND });
  const catalog = await open(after.endpoint);
  const second = await catalog.pull("hf:o/r", options);
  expect(second).toMatchObject({ id: "o/r:Q8_0", path: join(home, "models/o/r", `@${SECOND.slice(0, 12)}`, "m-Q8_0.gguf") });
  expect((await readFile(first.path)).equals(old)).toBe(true);
  for (const each of [catalog, await open(after.endpoint)]) {
    expect(idsOf(each)).toEqual(["o/r:Q8_0", `o/r:Q8_0@${FIRST.slice(0, 12)}`]);
    expect(each.known("hf:o/r")?.path).toBe(second.path);
    expect(each.known(`hf:o/r@${FIRST}`)?.path ?? each.known(`hf:o/r@${FIRST.slice(0, 8)}`)?.path).toBe(first.path);
    expect(each.known(`hf:o/r@${SECOND.slice(0, 8)}`)?.path).toBe(second.path);
    expect(each.known("hf:o/r@v1")).toBeNull();
  }
  // Asked for by name it is told where it is, and is not fetched again.
  const sent = after.sentBytes;
  expect((await catalog.pull("hf:o/r@v1", options)).path).toBe(second.path);
  expect(after.sentBytes).toBe(sent);
  expect(catalog.known("hf:o/r@v1")?.path).toBe(second.path);
  // Deleted, the old one is gone alone.
  expect((await catalog.remove(`hf:o/r@${FIRST.slice(0, 8)}`)).bytes).toBe(old.length);
  expect(idsOf(catalog)).toEqual(["o/r:Q8_0"]);
  expect((await readFile(second.path)).equals(now)).toBe(true);
  expect(await readdir(join(home, "models/o/r"))).not.toContain("m-Q8_0.gguf");
});

test("two commits with one header and other weights do not answer for each other", async () => {
  const { open } = await homeAt();
  await using before = await startTestHub({ files: { "m-Q8_0.gguf": DEMO }, commit: FIRST });
  const { path } = await (await open(before.endpoint)).pull("hf:o/r@v1", options);
  await using after = await startTestHub({ files: { "m-Q8_0.gguf": flipped() }, commit: SECOND });
  const catalog = await open(after.endpoint);
  expect(idsOf(catalog)).toEqual(["o/r:Q8_0@v1"]);
  await expect(catalog.locate("hf:o/r", signal)).rejects.toThrow(/very header of o\/r:Q8_0@v1.*other weights/u);
  await expect(catalog.pull("hf:o/r", options)).rejects.toThrow(/very header of o\/r:Q8_0@v1, but other weights/u);
  expect(catalog.known("hf:o/r")).toBeNull();
  expect((await readFile(path)).equals(DEMO)).toBe(true);
  // With the first gone the second is what its name says.
  await catalog.remove("hf:o/r@v1");
  await catalog.refresh(signal);
  expect(idsOf(catalog)).toEqual(["o/r:Q8_0"]);
});

test("parts that a new commit shares with the old are linked, not fetched; the model's projector comes and goes with it", async () => {
  const { home, open } = await homeAt();
  const split = join(folder, "split-Q8_0.gguf");
  const make = (seed: string): void =>
    void execFileSync(process.execPath, [MAKE_MODEL, split, "--layers", "4", "--width", "128", "--split", "2", "--seed", seed], {
      stdio: "ignore",
    });
  const names = ["split-Q8_0-00001-of-00002.gguf", "split-Q8_0-00002-of-00002.gguf"];
  make("1");
  const files = Object.fromEntries(
    await Promise.all(names.map(async (name) => [`Q8_0/${name}`, await readFile(join(folder, name))] as const)),
  );
  await using before = await startTestHub({
    files: { ...files, "mmproj-F16.gguf": PROJECTOR, "mmproj-F32.gguf": Buffer.concat([PROJECTOR, Buffer.alloc(32)]) },
    commit: FIRST,
  });
  const first = await (await open(before.endpoint)).pull("hf:o/r", options);
  expect(await readdir(join(home, "models/o/r"))).toContain("mmproj-F16.gguf");
  expect(await readdir(join(home, "models/o/r"))).not.toContain("mmproj-F32.gguf");

  make("2");
  const other = { ...files, [`Q8_0/${names[0]}`]: await readFile(join(folder, names[0] ?? "")) };
  await using after = await startTestHub({ files: { ...other, "mmproj-F16.gguf": PROJECTOR }, commit: SECOND });
  const catalog = await open(after.endpoint);
  const second = await catalog.pull("hf:o/r", options);
  // The header names the seed: the first part is another, the second and the projector the same.
  expect(after.sentBytes).toBe(other[`Q8_0/${names[0]}`]?.length);
  expect((await stat(second.path.replace("00001", "00002"))).ino).toBe((await stat(first.path.replace("00001", "00002"))).ino);
  const entry = catalog.list().find(({ file }) => file.path === second.path);
  expect(entry?.file.profile.projector).toMatchObject({ file: "../mmproj-F16.gguf", fileBytes: PROJECTOR.length });
  expect(entry?.file.parts).toHaveLength(2);

  await catalog.remove("hf:o/r");
  await catalog.remove(`hf:o/r@${FIRST.slice(0, 12)}`);
  expect(idsOf(catalog)).toEqual([]);
  const left = (await readdir(join(home, "models"), { recursive: true })).filter((name) => name.endsWith(".gguf"));
  expect(left).toEqual([]);
});

test("a projector that two models share stays with the other; without it asked for, none comes", async () => {
  const { home, open } = await homeAt();
  await using hub = await startTestHub({
    files: { "m-Q8_0.gguf": DEMO, "m-Q4_K_M.gguf": called("small"), "mmproj-F16.gguf": PROJECTOR },
  });
  const catalog = await open(hub.endpoint);
  await catalog.pull("hf:o/r:Q8_0", { ...options, projector: false });
  expect(catalog.known("hf:o/r")?.profile.projector).toBeNull();
  await Promise.all(["hf:o/r:Q8_0", "hf:o/r"].map((ref) => catalog.pull(ref, options)));
  expect(hub.sentBytes).toBe(DEMO.length * 2 + PROJECTOR.length);
  expect(catalog.known("hf:o/r:q8_0")?.profile.projector?.file).toBe("mmproj-F16.gguf");
  await catalog.remove("hf:o/r:Q8_0");
  expect(await readdir(join(home, "models/o/r"))).toContain("mmproj-F16.gguf");
  await catalog.remove("hf:o/r");
  expect(await readdir(join(home, "models/o/r"))).toEqual(["pulled.json"]);
});

test("several quantisations and no word of which: told with their names, nothing deleted", async () => {
  const { open } = await homeAt();
  await using hub = await startTestHub({ files: { "m-Q8_0.gguf": DEMO, "m-F16.gguf": called("large") } });
  const catalog = await open(hub.endpoint);
  for (const quantisation of ["Q8_0", "F16"]) await catalog.pull(`hf:o/r:${quantisation}`, options);
  for (const wanted of [
    () => catalog.resolve("o/r", signal),
    () => catalog.remove("hf:o/r"),
    () => catalog.describe("O/R", signal),
  ])
    await expect(wanted()).rejects.toMatchObject({
      code: "usage",
      message: expect.stringMatching(/o\/r:Q8_0, o\/r:F16|o\/r:F16, o\/r:Q8_0/u) as string,
    });
  expect(idsOf(catalog)).toEqual(["o/r:F16", "o/r:Q8_0"]);
});

test("what lies there already, a person's own or a link, is never written over or through", async () => {
  const { home, open } = await homeAt();
  await using hub = await startTestHub({ files: { "m-Q8_0.gguf": DEMO }, commit: FIRST });
  const outside = join(folder, "outside");
  await mkdir(join(home, "models/o/r"), { recursive: true });
  await mkdir(outside);
  await writeFile(join(outside, "mine.gguf"), "mine");
  await symlink(join(outside, "mine.gguf"), join(home, "models/o/r/m-Q8_0.gguf"));
  const catalog = await open(hub.endpoint);
  const { path } = await catalog.pull("hf:o/r", options);
  expect(path).toBe(join(home, "models/o/r", `@${FIRST.slice(0, 12)}`, "m-Q8_0.gguf"));
  expect(await readFile(join(outside, "mine.gguf"), "utf8")).toBe("mine");

  // A folder that is a link leads out of the models folder: refused, before and after.
  const { home: second, open: openSecond } = await homeAt();
  await mkdir(join(second, "models"), { recursive: true });
  await symlink(outside, join(second, "models/o"));
  await expect((await openSecond(hub.endpoint)).pull("hf:o/r", options)).rejects.toThrow(/lies outside .*a link leads there/u);
  expect(await readdir(outside)).toEqual(["mine.gguf"]);
  // The models folder itself may be one.
  const { home: third, open: openThird } = await homeAt();
  await mkdir(third, { recursive: true });
  await mkdir(join(folder, "large-disk"));
  await symlink(join(folder, "large-disk"), join(third, "models"));
  const moved = await openThird(hub.endpoint);
  await moved.pull("hf:o/r", options);
  expect((await moved.remove("hf:o/r")).bytes).toBe(DEMO.length);
});

test("a link of a person's own in the models folder is listed, and never deleted", async () => {
  const { home, open } = await homeAt();
  const own = join(folder, "own-model.gguf");
  await writeFile(own, DEMO);
  await mkdir(join(home, "models"), { recursive: true });
  await symlink(own, join(home, "models/linked.gguf"));
  await symlink("/nowhere/at-all.gguf", join(home, "models/broken.gguf"));
  const catalog = await open("http://127.0.0.1:9");
  expect(catalog.list()).toMatchObject([{ source: "home", file: { profile: { id: "linked" } } }]);
  expect(catalog.problems().map(({ path }) => path)).toEqual([join(home, "models/broken.gguf")]);
  await expect(catalog.remove("linked")).rejects.toThrow(/not pulled/u);
  await rm(own);
  expect(await catalog.refresh(signal)).toBe(true);
  expect(catalog.list()).toEqual([]);
});
