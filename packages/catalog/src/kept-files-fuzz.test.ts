import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fc, test as property } from "@fast-check/vitest";
import { ClusterdError, type ContentId } from "@clusterd/wire";
import { afterAll, expect } from "vitest";
import { findForeign } from "./adopt/find-foreign.ts";
import { openCatalog } from "./catalog.ts";
import { listRepository } from "./remote/list-repository.ts";
import { pulledFiles } from "./pull/pulled-files.ts";
import { pulledModels } from "./pull/pulled-models.ts";
import { readModelFile } from "./read-model.ts";
import { openShardStore } from "./shards/shard-store.ts";
import { createWeightDigests } from "./weight-digests.ts";
import { readWeightTable } from "./weight-table.ts";

const DEMO = fileURLToPath(new URL("../../../models/demo-16l-q8_0.gguf", import.meta.url));
const { signal } = new AbortController();
const folder = await mkdtemp(join(tmpdir(), "clusterd-kept-fuzz-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const outside = join(folder, "outside");
await mkdir(outside);
await writeFile(join(outside, "secret.gguf"), "not yours");
const runs = { numRuns: 200 };
let count = 0;
const newFolder = async (): Promise<string> => {
  const made = join(folder, String((count += 1)));
  await mkdir(made);
  return made;
};
/** Nothing that is not in words, and nothing outside is written or gone. */
async function orRefused<Value>(work: () => Promise<Value>): Promise<Value | null> {
  try {
    return await work();
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterdError);
    return null;
  } finally {
    expect(await readdir(outside)).toEqual(["secret.gguf"]);
    expect(await readFile(join(outside, "secret.gguf"), "utf8")).toBe("not yours");
  }
}

const name = fc.constantFrom(
  "secret.gguf",
  "../secret.gguf",
  "../../outside/secret.gguf",
  join(outside, "secret.gguf"),
  "a\u0000b",
  "x.gguf",
  "",
  ".",
  "..",
);
const value = fc.oneof({ maxDepth: 2 }, name, fc.anything({ withNullPrototype: false, maxDepth: 2 }));
/** Text as a hand, a crash or an enemy may leave it. */
const textOf = (shape: fc.Arbitrary<unknown>): fc.Arbitrary<string> =>
  fc.oneof(
    shape.map((each) => JSON.stringify(each, (_, one: unknown) => (typeof one === "bigint" ? 1 : one)) ?? "undefined"),
    fc.string({ maxLength: 80 }),
    fc.constantFrom("", "null", "[]", "{}", "[null]", '{"__proto__":{"x":1}}', "[".repeat(20_000), "\u0000".repeat(512)),
  );

const pulled = fc.array(
  fc.oneof(
    value,
    fc.record(
      {
        path: value,
        bytes: fc.oneof(fc.constantFrom(9, -1, 1e300), value),
        sha256: value,
        commit: value,
        quantisation: fc.oneof(fc.constant("Q8_0"), value),
        folder: value,
        revisions: fc.oneof(fc.array(value, { maxLength: 3 }), value),
      },
      { requiredKeys: ["path", "bytes"] },
    ),
  ),
  { maxLength: 5 },
);
property.prop([textOf(pulled)], runs)("pulled.json: nothing outside of the models folder is listed", async (text) => {
  const models = await newFolder();
  await mkdir(join(models, "o", "r"), { recursive: true });
  await writeFile(join(models, "o", "r", "pulled.json"), text);
  await orRefused(() => pulledFiles(join(models, "o", "r")));
  const found = await orRefused(() => pulledModels(models));
  for (const { path } of found ?? []) expect(path.startsWith(`${models}/o/r/`)).toBe(true);
});

property.prop([textOf(fc.array(value, { maxLength: 4 }))], { numRuns: 60 })(
  "models.json: what it names is read as models are, or told of",
  async (text) => {
    const home = await newFolder();
    await writeFile(join(home, "models.json"), text);
    const catalog = await orRefused(() => openCatalog({ home, bundled: [], signal, env: {} }));
    expect(catalog?.list() ?? null).toEqual([]);
  },
);

const CONTENT = "c".repeat(64) as ContentId;
property.prop([textOf(fc.array(value, { maxLength: 3 })), textOf(fc.record({ count: value, present: value, digests: value }))], {
  numRuns: 150,
})("names.json and blocks.json: a part of a model, or nothing of it", async (names, blocks) => {
  const dir = await newFolder();
  const own = join(dir, CONTENT);
  await mkdir(own);
  await writeFile(join(own, "names.json"), names);
  await writeFile(join(own, "blocks.json"), blocks);
  await writeFile(join(own, "x.gguf"), "GGUF");
  await orRefused(async () => {
    await using store = await openShardStore({ dir, cacheDir: join(dir, "cache"), signal });
    expect(await store.get(CONTENT)).toBeNull();
    expect(store.fileOf(CONTENT)).toBeNull();
  });
});

property.prop(
  [
    textOf(
      fc.record({
        commit: value,
        files: fc.oneof(
          value,
          fc.array(fc.oneof(value, fc.record({ path: value, bytes: value, sha256: value })), { maxLength: 3 }),
        ),
      }),
    ),
  ],
  runs,
)("a listing that was kept has plain names, or is none", async (text) => {
  const file = join(await newFolder(), "kept.json");
  await writeFile(file, text);
  const config = { endpoint: "http://127.0.0.1:1", token: null, offline: true };
  const found = await orRefused(() =>
    listRepository(config, { repo: "o/r", quantisation: null, revision: "main" }, file, signal),
  );
  for (const { path } of found?.files ?? []) expect(path.split("/")).not.toContain("..");
});

const model = await readModelFile(DEMO, { signal });
const table = await readWeightTable(model, signal);
property.prop([textOf(fc.dictionary(fc.constantFrom("0", "1", "null", "x"), value))], { numRuns: 100 })(
  "kept digests are digests, or are reckoned anew",
  async (text) => {
    const cacheDir = await newFolder();
    await orRefused(() => createWeightDigests({ file: model, table, cacheDir }).of([0], signal));
    const [kept] = await readdir(cacheDir);
    await writeFile(join(cacheDir, kept ?? ""), text);
    const found = await orRefused(() => createWeightDigests({ file: model, table, cacheDir }).of([0], signal));
    expect(found?.[0] ?? "").toMatch(/^[0-9a-f]{64}$|^$/u);
  },
);

const entry = fc.constantFrom(
  "models--o--r",
  "models--",
  "models--..--..",
  "datasets--o--r",
  "refs",
  "snapshots",
  "main",
  "0123abcd",
  "manifests",
  "registry.ollama.ai",
  "library",
  "m",
  "latest",
  "blobs",
  "models",
  "settings.json",
  "m-Q8_0.gguf",
  "m-00001-of-00002.gguf",
  "mmproj-f16.gguf",
  "manifest=o=r=t.json",
  "..x",
);
const place = fc.array(entry, { minLength: 1, maxLength: 6 });
const manifest = fc.record({
  layers: fc.oneof(
    value,
    fc.array(
      fc.oneof(
        value,
        fc.record({
          mediaType: fc.constantFrom("application/vnd.ollama.image.model", "x"),
          digest: fc.oneof(fc.constantFrom("sha256:" + "a".repeat(64), "sha256:../../outside/secret.gguf"), value),
        }),
      ),
      { maxLength: 3 },
    ),
  ),
});
const content = fc.oneof(
  fc.constantFrom("0123abcd", "../../outside", "0123abcd\n"),
  textOf(manifest),
  textOf(fc.record({ downloadsFolder: value, ggufFile: fc.record({ rfilename: value }) })),
);
property.prop(
  [fc.array(fc.tuple(place, content, fc.constantFrom("file", "file", "file", "link", "folder")), { maxLength: 12 })],
  runs,
)("folders of other tools, whatever lies in them: read where they are, and nothing of them written", async (made) => {
  const home = await newFolder();
  const roots = [".cache/huggingface/hub", ".ollama/models", ".lmstudio/models", ".cache/llama.cpp", ".lmstudio"];
  const links: string[] = [];
  for (const [index, [parts, text, kind]] of made.entries()) {
    const at = join(home, roots[index % roots.length] ?? "", ...parts);
    // Through a link the test itself would write outside.
    if (links.some((link) => at.startsWith(`${link}/`))) continue;
    if (kind === "link") links.push(at);
    await mkdir(dirname(at), { recursive: true }).catch(() => undefined);
    if (kind === "file") await writeFile(at, text).catch(() => undefined);
    else if (kind === "link") await symlink(index % 2 === 0 ? outside : join(outside, "secret.gguf"), at).catch(() => undefined);
    else await mkdir(at, { recursive: true }).catch(() => undefined);
  }
  const before = (await readdir(home, { recursive: true })).toSorted();
  const found = await orRefused(() => findForeign({ homeDir: home, platform: "darwin", env: {} }));
  expect((await readdir(home, { recursive: true })).toSorted()).toEqual(before);
  for (const { path, source } of found ?? []) if (source === "ollama") expect(path).toMatch(/\/blobs\/sha256-[0-9a-f]{64}$/u);
  await rm(home, { recursive: true });
});
