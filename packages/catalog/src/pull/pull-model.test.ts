import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { startTestHub } from "../testing/hub-server.ts";
import { pullModel, type PullOptions, type PulledModel } from "./pull-model.ts";
import { pullPath } from "./pull-path.ts";

const folder = await mkdtemp(join(tmpdir(), "clusterd-pull-model-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const { signal } = new AbortController();
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
let homes = 0;
const newHome = (): string => join(folder, String(homes++));

const pull = (ref: string, endpoint: string, home: string, changes: Partial<PullOptions> = {}): Promise<PulledModel> =>
  pullModel(ref, {
    modelsDir: join(home, "models"),
    cacheDir: join(home, "headers"),
    env: { HF_ENDPOINT: endpoint },
    signal,
    onProgress: () => {},
    ...changes,
  });

test("all parts of a model, once; what is there is not fetched again, what was damaged is", async () => {
  const [one, two] = [randomBytes(300_000), randomBytes(200_000)];
  const files = {
    "Q4_K_M/m-Q4_K_M-00001-of-00002.gguf": one,
    "Q4_K_M/m-Q4_K_M-00002-of-00002.gguf": two,
    "m-Q8_0.gguf": randomBytes(10),
  };
  await using hub = await startTestHub({ files });
  const home = newHome();
  const progress: number[] = [];
  const first = await pull("hf:o/r", hub.endpoint, home, {
    onProgress: ({ step, doneBytes, totalBytes }) => {
      if (step !== "listing") expect(totalBytes).toBe(500_000);
      if (step === "fetching") progress.push(doneBytes);
    },
  });
  expect(first).toEqual({
    id: "o/r:Q4_K_M",
    path: join(home, "models/o/r/Q4_K_M/m-Q4_K_M-00001-of-00002.gguf"),
    bytes: 500_000,
    sha256: sha256(Buffer.from(sha256(one) + sha256(two))),
  });
  expect(progress.at(-1)).toBe(500_000);
  expect(hub.sentBytes).toBe(500_000);
  expect(await pull("hf:o/r:q4_k_m", hub.endpoint, home)).toEqual(first);
  expect(hub.sentBytes).toBe(500_000);
  // Offline, what is here is enough.
  expect(await pull("hf:o/r", hub.endpoint, home, { env: { HF_ENDPOINT: hub.endpoint, HF_HUB_OFFLINE: "1" } })).toEqual(first);
  await writeFile(join(home, "models/o/r/Q4_K_M/m-Q4_K_M-00002-of-00002.gguf"), two.subarray(0, 100));
  await expect(pull("hf:o/r", hub.endpoint, home, { env: { HF_ENDPOINT: hub.endpoint, HF_HUB_OFFLINE: "1" } })).rejects.toThrow(
    /HF_HUB_OFFLINE/u,
  );
  expect(await pull("hf:o/r", hub.endpoint, home)).toEqual(first);
  expect(hub.sentBytes).toBe(700_000);
});

test("bytes that the listing's digest does not know are never kept; without a digest the size decides", async () => {
  const files = { "m-Q8_0.gguf": randomBytes(50_000) };
  await using lying = await startTestHub({ files, sha256: { "m-Q8_0.gguf": "0".repeat(64) } });
  const home = newHome();
  await expect(pull("hf:o/r", lying.endpoint, home)).rejects.toMatchObject({ code: "model_broken" });
  const left = await readdir(join(home, "models/o/r"));
  expect(left.filter((name) => name.endsWith(".gguf"))).toEqual([]);
  await using silent = await startTestHub({ files, sha256: { "m-Q8_0.gguf": null } });
  expect((await pull("hf:o/r", silent.endpoint, home)).sha256).toBe(sha256(files["m-Q8_0.gguf"]));
});

test("a gated repository says where to accept its terms and what to set; the token goes to the hub alone", async () => {
  await using hub = await startTestHub({ files: { "m-Q8_0.gguf": randomBytes(1000) }, token: "hf_right" });
  const home = newHome();
  await expect(pull("hf:o/r", hub.endpoint, home)).rejects.toMatchObject({
    code: "not_admitted",
    next: expect.stringMatching(/o\/r.*HF_TOKEN/u) as string,
  });
  await pull("hf:o/r", hub.endpoint, home, { env: { HF_ENDPOINT: hub.endpoint, HF_TOKEN: "hf_right" } });
  const stored = hub.seen.filter(({ host }) => host === "store");
  expect(stored).not.toHaveLength(0);
  expect(stored.every(({ token }) => token === undefined)).toBe(true);
});

test("stopped, it leaves nothing under the final name, and goes on later", async () => {
  const bytes = randomBytes(40 * 1024 * 1024);
  await using hub = await startTestHub({ files: { "m-Q8_0.gguf": bytes }, bytesPerSecond: 20e6 });
  const home = newHome();
  const stop = new AbortController();
  const stopped = pull("hf:o/r", hub.endpoint, home, {
    signal: AbortSignal.any([signal, stop.signal]),
    onProgress: ({ doneBytes }) => {
      if (doneBytes > 37 * 1024 * 1024) stop.abort();
    },
  });
  await expect(stopped).rejects.toThrow();
  expect((await readdir(join(home, "models/o/r"))).toSorted()).toEqual(["m-Q8_0.gguf.part", "m-Q8_0.gguf.part.json"]);
  const before = hub.sentBytes;
  await pull("hf:o/r", hub.endpoint, home);
  expect(hub.sentBytes - before).toBeLessThan(bytes.length);
  const path = join(home, "models/o/r/m-Q8_0.gguf");
  expect((await stat(path)).size).toBe(bytes.length);
  expect((await readFile(path)).equals(bytes)).toBe(true);
});

test.each([
  "../x.gguf",
  "a/../../x.gguf",
  "C:x.gguf",
  "a\\x.gguf",
  "con.gguf",
  "NUL",
  "a/x.gguf.",
  "x\u0000.gguf",
  "/etc/x.gguf",
  "a//b",
])("a file called %j is refused", (name) => {
  expect(() => pullPath("/m", "o/r", name)).toThrow(/cannot be kept/u);
  expect(pullPath("/m", "o/r", "a/x.gguf")).toBe("/m/o/r/a/x.gguf");
});
