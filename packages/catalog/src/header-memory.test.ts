import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";

const DEMO = fileURLToPath(new URL("../../../models/demo-16l-q8_0.gguf", import.meta.url));
const SCRIPT = fileURLToPath(new URL("testing/guard-process.ts", import.meta.url));
const demo = await readFile(DEMO);
const folder = await mkdtemp(join(tmpdir(), "clusterd-guard-memory-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The demo with eight bytes replaced, as large as is said: most of it a hole. */
async function hostile(name: string, at: number, value: bigint, fileBytes: number): Promise<string> {
  const bytes = Buffer.from(demo);
  bytes.writeBigUInt64LE(value, at);
  const path = join(folder, `${name}.gguf`);
  await writeFile(path, bytes);
  await truncate(path, fileBytes);
  return path;
}

/** Where the length or count of a key's value is, behind its type (of a list: of its items too). */
const valueOf = (key: string, isList: boolean): number => demo.indexOf(key) + key.length + (isList ? 8 : 4);

test("counts and lengths of any size are refused in less than 50 MB, also in a file of terabytes", async () => {
  const paths: string[] = [];
  for (const fileBytes of [demo.length, 2 ** 41]) {
    for (const [name, at] of [
      ["tensors", 8],
      ["entries", 16],
      ["key", 24],
      ["text", valueOf("general.architecture", false)],
      ["list", valueOf("tokenizer.ggml.tokens", true)],
    ] as const)
      for (const power of [30n, 40n, 53n, 60n, 63n])
        paths.push(await hostile(`${name}-${power}-${fileBytes}`, at, 2n ** power, fileBytes));
  }
  const { stdout } = await promisify(execFile)(process.execPath, ["--no-warnings", SCRIPT, DEMO, ...paths]);
  const { grownBytes, messages } = JSON.parse(stdout) as { grownBytes: number; messages: readonly string[] };
  expect(messages).toHaveLength(50);
  expect(messages.filter((message) => !/corrupt|larger than|not whole|holds/u.test(message))).toEqual([]);
  expect(grownBytes).toBeLessThan(50_000_000);
});
