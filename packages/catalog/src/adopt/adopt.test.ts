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
  return models.map(({ source, id, aliases = [], path, projectorPath }: ForeignModel) => {
    const sees = projectorPath === undefined ? [] : [`sees ${projectorPath.slice(homeDir.length + 1)}`];
    return [
      source,
      [id, ...aliases.filter((name) => !name.includes("@"))].join("="),
      path.slice(homeDir.length + 1),
      ...sees,
    ].join(" ");
  });
}

const SNAPSHOT = ".cache/huggingface/hub/models--Org--Some-GGUF/snapshots";

test("the hub's cache: every snapshot's files, named as on the hub with their revision, whole models only", async () => {
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
    `huggingface Org/Some-GGUF:BF16 ${SNAPSHOT}/aaaa/BF16/Some-BF16-00001-of-00002.gguf sees ${SNAPSHOT}/aaaa/mmproj-Some.gguf`,
    `huggingface Org/Some-GGUF:Q4_K_M ${SNAPSHOT}/aaaa/Some-Q4_K_M.gguf sees ${SNAPSHOT}/aaaa/mmproj-Some.gguf`,
    `huggingface Org/Some-GGUF:Q2_K@bbbb ${SNAPSHOT}/bbbb/Some-Q2_K.gguf`,
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
  ).toEqual([`ollama hf.co/o/r:Q4_K_M=llama3.2:3b=someone/tuned:latest .ollama/models/blobs/sha256-${digest}`]);
});

test("Ollama's projector layer is a model's eyes, where its blob is there", async () => {
  const [weights, eyes] = ["ab".repeat(32), "cd".repeat(32)];
  const manifest = JSON.stringify({
    layers: [
      { mediaType: "application/vnd.ollama.image.model", digest: `sha256:${weights}` },
      { mediaType: "application/vnd.ollama.image.projector", digest: `sha256:${eyes}` },
    ],
  });
  const files = {
    ".ollama/models/manifests/registry.ollama.ai/library/llava/7b": manifest,
    [`.ollama/models/blobs/sha256-${weights}`]: "x",
  };
  const blobs = ".ollama/models/blobs/sha256-";
  expect(await found(files)).toEqual([`ollama llava:7b ${blobs}${weights}`]);
  expect(await found({ ...files, [`${blobs}${eyes}`]: "x" })).toEqual([
    `ollama llava:7b ${blobs}${weights} sees ${blobs}${eyes}`,
  ]);
});

test("the hub's cache: links that lead nowhere or out of it are no models; a projector above belongs to its model", async () => {
  const homeDir = await homeWith({
    "secret.gguf": "x",
    ".cache/huggingface/hub/models--o--r/refs/main": "c0c0c0c0",
    ".cache/huggingface/hub/models--o--r/refs/pr/1": "d0d0d0d0",
    [`.cache/huggingface/hub/models--o--r/blobs/${"ab".repeat(32)}`]: "x",
    ".cache/huggingface/hub/models--o--r/snapshots/d0d0d0d0/m-Q6_K.gguf": "x",
    ".cache/huggingface/hub/models--o--r/snapshots/c0c0c0c0/mmproj-F16.gguf": "x",
  });
  const snapshot = join(homeDir, ".cache/huggingface/hub/models--o--r/snapshots/c0c0c0c0");
  await mkdir(join(snapshot, "Q4_K_M"));
  await symlink(`../../../blobs/${"ab".repeat(32)}`, join(snapshot, "Q4_K_M", "m-Q4_K_M.gguf"));
  await symlink("../../blobs/gone", join(snapshot, "m-Q8_0.gguf"));
  await symlink(join(homeDir, "secret.gguf"), join(snapshot, "m-Q2_K.gguf"));
  const models = await findForeign({ homeDir, platform: "linux", env: {} });
  expect(models).toEqual([
    {
      source: "huggingface",
      id: "o/r:Q4_K_M",
      aliases: ["o/r:Q4_K_M@c0c0c0c0"],
      path: join(snapshot, "Q4_K_M", "m-Q4_K_M.gguf"),
      sha256: "ab".repeat(32),
      projectorPath: join(snapshot, "mmproj-F16.gguf"),
    },
    {
      source: "huggingface",
      id: "o/r:Q6_K@pr/1",
      aliases: ["o/r:Q6_K@d0d0d0d0"],
      path: join(snapshot, "../d0d0d0d0/m-Q6_K.gguf"),
    },
  ]);
});

test("llama.cpp's manifests tell whose its files are; what they name is looked for in its folder alone", async () => {
  const folder = ".cache/llama.cpp";
  const manifest = (model: string, projector?: string): string =>
    JSON.stringify({
      ggufFile: { rfilename: model },
      ...(projector === undefined ? {} : { mmprojFile: { rfilename: projector } }),
    });
  expect(
    await found({
      [`${folder}/Org_Some-GGUF_Q8_0_some-Q8_0.gguf`]: "x",
      [`${folder}/Org_Some-GGUF_mmproj-F16.gguf`]: "x",
      [`${folder}/manifest=Org=Some-GGUF=Q8_0.json`]: manifest("Q8_0/some-Q8_0.gguf", "mmproj-F16.gguf"),
      [`${folder}/manifest=Org=Evil=latest.json`]: manifest("../../../secret-Q8_0.gguf"),
      [`${folder}/manifest=Org=Broken=latest.json`]: "[",
      "secret-Q8_0.gguf": "x",
    }),
  ).toEqual([
    `llama.cpp Org/Some-GGUF:Q8_0=Org_Some-GGUF_Q8_0_some-Q8_0 ${folder}/Org_Some-GGUF_Q8_0_some-Q8_0.gguf ` +
      `sees ${folder}/Org_Some-GGUF_mmproj-F16.gguf`,
  ]);
  // Today's layout, in the folder that its own variable names.
  const today = { "mine/models--o--r/refs/main": "aaaa", "mine/models--o--r/snapshots/aaaa/m-Q8_0.gguf": "x" };
  expect(await found(today, "linux", (home) => ({ LLAMA_CACHE: join(home, "mine") }))).toEqual([
    "llama.cpp o/r:Q8_0 mine/models--o--r/snapshots/aaaa/m-Q8_0.gguf",
  ]);
});

test("LM Studio's folders", async () => {
  expect(await found({ ".lmstudio/models/Pub/Repo-GGUF/some-Q8_0.gguf": "x", ".lmstudio/models/readme": "x" })).toEqual([
    "lmstudio Pub/Repo-GGUF:Q8_0 .lmstudio/models/Pub/Repo-GGUF/some-Q8_0.gguf",
  ]);
  expect(await found({ ".cache/lm-studio/models/Pub/Old/old-Q8_0.gguf": "x" })).toHaveLength(1);
  // Where a person has moved them to.
  const homeDir = await homeWith({
    "elsewhere/Pub/New/new-00001-of-00002.gguf": "x",
    "elsewhere/Pub/New/new-00002-of-00002.gguf": "x",
  });
  await mkdir(join(homeDir, ".lmstudio"));
  await writeFile(join(homeDir, ".lmstudio", "settings.json"), JSON.stringify({ downloadsFolder: join(homeDir, "elsewhere") }));
  const models = await findForeign({ homeDir, platform: "linux", env: {} });
  expect(models.map(({ path }) => path)).toEqual([join(homeDir, "elsewhere/Pub/New/new-00001-of-00002.gguf")]);
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
    ".cache/huggingface/hub/models--o--r/refs/main": "cccc",
  });
  const snapshot = join(homeDir, ".cache/huggingface/hub/models--o--r/snapshots/cccc");
  await mkdir(snapshot, { recursive: true });
  await symlink("../../blobs/x", join(snapshot, "demo-Q8_0.gguf"));
  const catalog = await openCatalog({ home: join(homeDir, "clusterd"), bundled: [], signal, env: {} });
  expect(await catalog.adopt({ homeDir, platform: "linux", env: {} }, signal)).toBe(1);
  const [entry] = catalog.list();
  expect(entry).toMatchObject({
    source: "huggingface",
    aliases: ["o/r:Q8_0@cccc", "demo:latest"],
    file: { profile: { id: "o/r:Q8_0" } },
  });
  expect((await catalog.resolve("demo:latest", signal)).path).toBe(join(snapshot, "demo-Q8_0.gguf"));
  expect(catalog.problems().map(({ path }) => path)).toEqual([join(homeDir, ".lmstudio/models/P/R/broken-Q8_0.gguf")]);
  await expect(catalog.remove("demo:latest")).rejects.toThrow(/not pulled/u);

  // Another tool fetches a model, and deletes one: both are seen without a restart, and nothing is looked at twice for nothing.
  expect(await catalog.refresh(signal)).toBe(false);
  await mkdir(join(homeDir, ".lmstudio/models/P/New"), { recursive: true });
  await writeFile(join(homeDir, ".lmstudio/models/P/New/new-Q8_0.gguf"), DEMO);
  await rm(join(snapshot, "demo-Q8_0.gguf"));
  expect(await catalog.refresh(signal)).toBe(true);
  expect(catalog.known("o/r:Q8_0")).toBeNull();
  expect(catalog.list()).toMatchObject([{ source: "ollama", file: { profile: { id: "demo:latest" } } }]);
  expect(catalog.known("p/new")?.path).toBe(join(homeDir, `.ollama/models/blobs/sha256-${digest}`));
});
