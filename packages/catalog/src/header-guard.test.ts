import { cp, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { brokenModel } from "./broken-model.ts";
import { guardHeader, newContentHash } from "./header-guard.ts";
import { TENSOR_TYPES } from "./tensor-types.ts";

const DEMO = fileURLToPath(new URL("../../../models/demo-16l-q8_0.gguf", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "clusterd-guard-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const signal = AbortSignal.timeout(60_000);

/** The demo model with eight bytes of its header replaced. */
async function damaged(at: number, value: bigint): Promise<string> {
  const path = join(folder, `at-${at}.gguf`);
  await cp(DEMO, path);
  await using file = await open(path, "r+");
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  await file.write(bytes, 0, 8, at);
  return path;
}

test("the undamaged model passes, its tensors ending where the file ends", async () => {
  const header = await guardHeader(DEMO, newContentHash(), signal);
  expect(header.tensors).toHaveLength(147);
  expect(header.dataStart).toBe(45_856);
  const last = header.tensors.at(-1);
  expect(header.dataStart + (last?.offset ?? 0) + (last?.bytes ?? 0)).toBe(header.fileBytes);
});

// Tensor count, metadata count, first key's length.
test.each([8, 16, 24])("a count of 2^60 at byte %i is refused with no memory taken for it", async (at) => {
  const path = await damaged(at, 2n ** 60n);
  const before = process.memoryUsage().rss;
  await expect(guardHeader(path, newContentHash(), signal)).rejects.toMatchObject({ code: "model_broken" });
  expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000);
});

/** Bits of one element. */
const bits = (name: string): number => {
  const found = [...TENSOR_TYPES.values()].find((type) => type.name === name);
  return found === undefined ? Number.NaN : (found.blockBytes * 8) / found.blockElements;
};

test("the tensor types are as large as in llama.cpp v0.5.0", () => {
  // Recorded from the assertions of ggml-common.h.
  expect(
    Object.fromEntries(
      ["F32", "Q8_0", "Q6_K", "Q4_K", "Q2_K", "IQ4_XS", "MXFP4", "NVFP4", "Q1_0"].map((name) => [name, bits(name)]),
    ),
  ).toEqual({
    F32: 32,
    Q8_0: 8.5,
    Q6_K: 6.5625,
    Q4_K: 4.5,
    Q2_K: 2.625,
    IQ4_XS: 4.25,
    MXFP4: 4.25,
    NVFP4: 4.5,
    Q1_0: 1.125,
  });
  for (const removed of [4, 5, 31, 32, 33, 36, 37, 38, 43]) expect(TENSOR_TYPES.has(removed)).toBe(false);
});

test("a refusal that quotes the file carries no terminal sequences", () => {
  const error = brokenModel("/models/a\u001B[31mb.gguf", "no usable \u001B[2Jevil.block_count");
  expect(error.message).toBe("ab.gguf: no usable evil.block_count");
});
