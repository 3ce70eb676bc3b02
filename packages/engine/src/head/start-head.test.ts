import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startHead, type Head, type HeadOptions } from "./start-head.ts";

const llamaServer = fileURLToPath(new URL("../../../../test/fixtures/engines/fake-llama-server.mjs", import.meta.url));
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-head-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function start(fault: string, more: Partial<HeadOptions> = {}): Promise<Head> {
  const modelPath = join(folder, `${fault}.json`);
  await writeFile(modelPath, JSON.stringify({ fault, layerCount: 8 }));
  const workers = [3, 3].map((layers, index) => ({ endpoint: `127.0.0.1:${5000 + index}`, layers }));
  const { signal } = new AbortController();
  return startHead({
    engine: { llamaServer },
    modelPath,
    modelId: "m",
    layers: { head: 2, workers },
    layerCount: 8,
    context: 64,
    slots: 1,
    kv: "f16",
    threads: 1,
    acceleratorId: null,
    signal,
    ...more,
  });
}

test("a head that does as planned is up, and its progress never falls", async () => {
  const progress: number[] = [];
  await using head = await start("none", { onProgress: (fraction) => progress.push(fraction) });
  expect(head.layerDevices).toEqual(["CPU", "CPU", "RPC0", "RPC0", "RPC0", "RPC1", "RPC1", "RPC1"]);
  expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  expect(progress.at(-1)).toBe(1);
  expect((await fetch(`http://127.0.0.1:${head.port}/health`)).status).toBe(200);
  await head.process.stop();
  expect(await head.ended).toBeNull();
});

test.each([
  ["misplace", "layer 3 is on RPC9 instead of RPC0"],
  ["unnamed", "layer 0 is on no device"],
  ["miscount", "6 of 9 layers"],
  ["empty", "127.0.0.1:5000 holds no weights"],
  ["sick", "health is 503"],
  ["crash", "was ended by SIGSEGV"],
])("a head that goes wrong is stopped and explained: %s", async (fault, words) => {
  await expect(start(fault)).rejects.toMatchObject({ code: "engine_crashed", message: expect.stringContaining(words) as string });
});

test("a load that hangs ends with the wait for it", async () => {
  const abort = new AbortController();
  const waiting = start("hang", { signal: abort.signal, logger: () => abort.abort() });
  await expect(waiting).rejects.toMatchObject({ code: "interrupted" });
});

test("a load that floods its log is still read, and little of it kept", async () => {
  await using head = await start("flood");
  expect(head.process.logTail.length).toBeLessThanOrEqual(400);
});

test("its end without being asked has a reason", async () => {
  await using head = await start("none");
  process.kill(head.process.pid, "SIGSEGV");
  expect(await head.ended).toMatchObject({ code: "engine_crashed", message: expect.stringContaining("SIGSEGV") as string });
});
