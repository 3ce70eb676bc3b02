import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { openCatalog } from "../catalog.ts";
import { findForeign } from "./find-foreign.ts";
import type { ForeignModel } from "./foreign-model.ts";

const DEMO = await readFile(fileURLToPath(new URL("../../../../models/demo-16l-q8_0.gguf", import.meta.url)));
const root = await mkdtemp(join(tmpdir(), "clusterd-adopt-"));
afterAll(() => rm(root, { recursive: true, force: true }));
let homes = 0;
const { signal } = new AbortController();

async function homeWith(files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const home = join(root, String(homes++));
  await mkdir(home, { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(home, path)), { recursive: true });
    await writeFile(join(home, path), content);
  }
  return home;
}

async function found(
  files: Readonly<Record<string, string | Buffer>>,
  platform: NodeJS.Platform = "linux",
  env: (home: string) => Record<string, string> = () => ({}),
): Promise<readonly string[]> {
  const homeDir = await homeWith(files);
  const models = await findForeign({ homeDir, platform, env: env(homeDir) });
  return models.map(({ source, id, path }: ForeignModel) => `${source} ${id} ${path.slice(homeDir.length + 1)}`);
}

const SNAPSHOT = ".cache/huggingface/hub/models--Org--Some-GGUF/snapshots";

test("the hub's cache: the main branch's files, named as on the hub, whole models only", async () => {
  expect(
    await found({
      [`${SNAPSHOT}/aaaa/Some-Q4_K_M.gguf`]: "x",
      [`${SNAPSHOT}/aaaa/BF16/Some-BF16-00001-of-00002.gguf`]: "x",
      [`${SNAPSHOT}/aaaa/BF16/Some-BF16-00002-of-00002.gguf`]: "x",
      [`${SNAPSHOT}/aaaa/Q8_0/Some-Q8_0-00001-of-00002.gguf`]: "x",
      [`${SNAPSHOT}/aaaa/mmproj-Some.gguf`]: "x",
      [`${SNAPSHOT}/bbbb/Some-Q2_K.gguf`]: "x",
      ".cache/huggingface/hub/models--Org--Some-GGUF/refs/main": "aaaa\n",
      ".cache/huggingface/hub/datasets--Org--Data/snapshots/x/Data-Q8_0.gguf": "x",
    }),
  ).toEqual([
    `huggingface Org/Some-GGUF:BF16 ${SNAPSHOT}/aaaa/BF16/Some-BF16-00001-of-00002.gguf`,
    `huggingface Org/Some-GGUF:Q4_K_M ${SNAPSHOT}/aaaa/Some-Q4_K_M.gguf`,
  ]);
  const elsewhere = { "cache/models--o--r/snapshots/c/m-Q8_0.gguf": "x" };
  expect(await found(elsewhere, "linux", (home) => ({ HF_HUB_CACHE: join(home, "cache") }))).toHaveLength(1);
  expect(await found(elsewhere)).toEqual([]);
});

test("llama.cpp's folder, by platform", async () => {
  const file = "Org_Some-GGUF_some-q8_0.gguf";
  const line = (folder: string): string[] => [`llama.cpp Org_Some-GGUF_some-q8_0 ${folder}/${file}`];
  const other = { "x.gguf.json": "{}", "mmproj-x.gguf": "x" };
  const files = (folder: string): Record<string, string> =>
    Object.fromEntries(Object.entries({ [file]: "x", ...other }).map(([name, text]) => [`${folder}/${name}`, text]));
  expect(await found(files(".cache/llama.cpp"))).toEqual(line(".cache/llama.cpp"));
  expect(await found(files("Library/Caches/llama.cpp"), "darwin")).toEqual(line("Library/Caches/llama.cpp"));
  expect(await found(files("AppData/Local/llama.cpp"), "win32")).toEqual(line("AppData/Local/llama.cpp"));
  expect(await found(files("mine"), "linux", (home) => ({ LLAMA_CACHE: join(home, "mine") }))).toEqual(line("mine"));
});

test("Ollama's manifests; digests that are none, and blobs that are not there, lead nowhere", async () => {
  const digest = "ab".repeat(32);
  const manifest = (told: string, mediaType = "application/vnd.ollama.image.model"): string =>
    JSON.stringify({
      layers: [
        { mediaType: "application/vnd.ollama.image.license", digest: "x" },
        { mediaType, digest: told },
      ],
    });
  const store = ".ollama/models/manifests";
  expect(
    await found({
      [`${store}/registry.ollama.ai/library/llama3.2/3b`]: manifest(`sha256:${digest}`),
      [`${store}/registry.ollama.ai/someone/tuned/latest`]: manifest(`sha256:${digest}`),
      [`${store}/hf.co/o/r/Q4_K_M`]: manifest(`sha256:${digest}`),
      [`${store}/registry.ollama.ai/library/evil/up`]: manifest("sha256:../../../../etc/passwd"),
      [`${store}/registry.ollama.ai/library/evil/gone`]: manifest(`sha256:${"cd".repeat(32)}`),
      [`${store}/registry.ollama.ai/library/evil/other`]: manifest(`sha256:${digest}`, "application/x"),
      [`${store}/registry.ollama.ai/library/evil/broken`]: "{",
      [`.ollama/models/blobs/sha256-${digest}`]: "x",
    }),
  ).toEqual([
    `ollama hf.co/o/r:Q4_K_M .ollama/models/blobs/sha256-${digest}`,
    `ollama llama3.2:3b .ollama/models/blobs/sha256-${digest}`,
    `ollama someone/tuned:latest .ollama/models/blobs/sha256-${digest}`,
  ]);
});

test("LM Studio's folders", async () => {
  expect(await found({ ".lmstudio/models/Pub/Repo-GGUF/some-Q8_0.gguf": "x", ".lmstudio/models/readme": "x" })).toEqual([
    "lmstudio Pub/Repo-GGUF:Q8_0 .lmstudio/models/Pub/Repo-GGUF/some-Q8_0.gguf",
  ]);
});

test("the catalog lists them with their source, reads them where they lie, and tells what is no model", async () => {
  const digest = "ab".repeat(32);
  const homeDir = await homeWith({
    [`.ollama/models/blobs/sha256-${digest}`]: DEMO,
    ".ollama/models/manifests/registry.ollama.ai/library/demo/latest": JSON.stringify({
      layers: [{ mediaType: "application/vnd.ollama.image.model", digest: `sha256:${digest}` }],
    }),
    ".lmstudio/models/P/R/broken-Q8_0.gguf": DEMO.subarray(0, 5_000),
    ".cache/huggingface/hub/models--o--r/blobs/x": DEMO,
  });
  const snapshot = join(homeDir, ".cache/huggingface/hub/models--o--r/snapshots/c");
  await mkdir(snapshot, { recursive: true });
  await symlink("../../blobs/x", join(snapshot, "demo-Q8_0.gguf"));
  const catalog = await openCatalog({ home: join(homeDir, "clusterd"), bundled: [], signal, env: {} });
  expect(await catalog.adopt({ homeDir, platform: "linux", env: {} }, signal)).toBe(1);
  const [entry] = catalog.list();
  expect(entry).toMatchObject({ source: "huggingface", aliases: ["demo:latest"], file: { profile: { id: "o/r:Q8_0" } } });
  expect((await catalog.resolve("demo:latest", signal)).path).toBe(join(snapshot, "demo-Q8_0.gguf"));
  expect(catalog.problems().map(({ path }) => path)).toEqual([join(homeDir, ".lmstudio/models/P/R/broken-Q8_0.gguf")]);
  await expect(catalog.remove("demo:latest")).rejects.toThrow(/not pulled/u);
});
