import { execFile } from "node:child_process";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { chooseProjector, isProjectorName } from "./choose-projector.ts";
import { projectorFiles } from "./projector.ts";
import { readModelFile } from "./read-model.ts";

const MAKE_MODEL = fileURLToPath(new URL("../../../scripts/make-model.ts", import.meta.url));
const DEMO = fileURLToPath(new URL("../../../models/demo-16l-q8_0.gguf", import.meta.url));
const { signal } = new AbortController();
const folder = await mkdtemp(join(tmpdir(), "clusterd-projector-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

const make = (name: string, width: number) =>
  promisify(execFile)(process.execPath, [
    MAKE_MODEL,
    join(folder, name),
    "--projector",
    "--width",
    String(width),
    "--type",
    "f16",
  ]);

test.each([
  ["mmproj-model-f16.gguf", true],
  ["gemma-3-mmproj-BF16.gguf", true],
  ["mmproj.gguf", true],
  ["MMPROJ-F32.GGUF", true],
  ["model-mmprojector.gguf", false],
  ["mmproj-model.txt", false],
])("%s: a projector by its name: %s", (name, is) => {
  expect(isProjectorName(`/models/${name}`)).toBe(is);
});

test("the projector beside a model is the one that fits it, the one named like it before others", async () => {
  const path = join(folder, "demo.gguf");
  await cp(DEMO, path);
  const cacheDir = join(folder, "cache");
  const projector = async () => (await readModelFile(path, { signal, cacheDir })).profile.projector;
  expect(await projector()).toBeNull();
  await make("mmproj-aaa.gguf", 256);
  await writeFile(join(folder, "mmproj-broken.gguf"), "GGUF");
  expect(await projector()).toBeNull();
  await make("mmproj-other.gguf", 128);
  expect(await projector()).toMatchObject({ file: "mmproj-other.gguf" });
  await make("mmproj-demo-f16.gguf", 128);
  const found = await projector();
  expect(found?.file).toBe("mmproj-demo-f16.gguf");
  expect(found?.memoryBytes).toBeGreaterThan(found?.fileBytes ?? 0);
  expect((await projectorFiles(path)).map((file) => basename(file))[0]).toBe("mmproj-demo-f16.gguf");
});

test("a projector is no model", async () => {
  await expect(readModelFile(join(folder, "mmproj-other.gguf"), { signal })).rejects.toMatchObject({ code: "unsupported" });
});

test.each([
  ["m-Q4_K_M.gguf", ["mmproj-BF16.gguf", "mmproj-F16.gguf", "mmproj-F32.gguf"], "mmproj-F16.gguf"],
  ["Q8_0/m-Q8_0-00001-of-00002.gguf", ["mmproj-F32.gguf", "mmproj-BF16.gguf"], "mmproj-BF16.gguf"],
  ["Q8_0/m.gguf", ["mmproj-F16.gguf", "Q8_0/mmproj-F32.gguf"], "Q8_0/mmproj-F32.gguf"],
  ["big-Q4_K_M.gguf", ["mmproj-small-f16.gguf", "mmproj-big-f32.gguf"], "mmproj-big-f32.gguf"],
  ["m.gguf", ["other/mmproj-F16.gguf", "m-Q8_0.gguf"], null],
])("of %s in a repository with %j it is %s", (model, files, projector) => {
  expect(chooseProjector(model, files)).toBe(projector);
});
