import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { startTestHub, type HubFault, type TestHub, type TestHubOptions } from "../testing/hub-server.ts";
import { downloadFile, type DownloadOptions } from "./download-file.ts";
import { hubSource } from "./hub-source.ts";

const CHUNK = 256 * 1024;
const content = randomBytes(11 * CHUNK + 12_345);
const sha256 = createHash("sha256").update(content).digest("hex");
const folder = await mkdtemp(join(tmpdir(), "clusterd-pull-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const { signal } = new AbortController();
let targets = 0;
const newTarget = (): string => join(folder, String(targets++), "model.gguf");

const startHub = (changes: Partial<TestHubOptions> = {}): Promise<TestHub> =>
  startTestHub({ files: { "model.gguf": content }, ...changes });

function fetchIt(hub: TestHub, changes: Partial<DownloadOptions> = {}): ReturnType<typeof downloadFile> {
  const config = { endpoint: hub.endpoint, token: null, offline: false };
  return downloadFile({
    source: hubSource(config, { repo: "o/r", commit: "0123abcd", path: "model.gguf" }),
    target: newTarget(),
    fileBytes: content.length,
    sha256,
    signal,
    chunkBytes: CHUNK,
    firstPauseMs: 1,
    onProgress: () => {},
    ...changes,
  });
}

test("comes in parts, several at a time, is verified, and bears its name only then", async () => {
  await using hub = await startHub();
  const target = newTarget();
  const steps = new Set<string>();
  let last = 0;
  await fetchIt(hub, {
    target,
    onProgress(bytes, step) {
      steps.add(step);
      expect(bytes).toBeLessThanOrEqual(content.length);
      if (step === "fetching") last = bytes;
    },
  });
  expect(last).toBe(content.length);
  expect([...steps]).toEqual(["fetching", "verifying"]);
  expect(await readdir(join(target, ".."))).toEqual(["model.gguf"]);
  expect((await readFile(target)).equals(content)).toBe(true);
  expect(hub.sentBytes).toBe(content.length);
  // The hub is asked where the file is no more often than there are connections.
  expect(hub.seen.filter(({ host }) => host === "hub").length).toBeLessThanOrEqual(4);
});

const PASSING: readonly (readonly [string, HubFault])[] = [
  ["a server that fails", { kind: "status", status: 503 }],
  ["one that asks to slow down", { kind: "status", status: 429, headers: { "retry-after": "0" } }],
  ["an address that has run out", { kind: "status", status: 403 }],
  ["connections that break", { kind: "cut", afterBytes: 100_000 }],
  ["a server that sends another range", { kind: "shifted" }],
];

test.each(PASSING)("goes on through %s", async (_, fault) => {
  const asked = new Set<string | undefined>();
  await using hub = await startHub({
    // Every range once; of connections that break some do not.
    fault: ({ range }, count) => {
      const isFirst = !asked.has(range);
      asked.add(range);
      return (fault.kind === "cut" ? count % 3 === 1 : isFirst) ? fault : null;
    },
  });
  const target = newTarget();
  await fetchIt(hub, { target });
  expect((await readFile(target)).equals(content)).toBe(true);
  expect(hub.seen.filter(({ host }) => host === "store").length).toBeGreaterThan(12);
});

test("a server without ranges is read in one go", async () => {
  await using hub = await startHub({ fault: () => ({ kind: "whole" }) });
  const target = newTarget();
  await fetchIt(hub, { target });
  expect((await readFile(target)).equals(content)).toBe(true);
});

test("wrong bytes are caught, fetched once more, and never kept", async () => {
  let flips = 0;
  await using once = await startHub({ fault: () => (flips++ === 5 ? { kind: "flip", at: 777 } : null) });
  const target = newTarget();
  await fetchIt(once, { target });
  expect((await readFile(target)).equals(content)).toBe(true);

  await using always = await startHub({ fault: (_request, count) => (count % 12 === 5 ? { kind: "flip", at: 777 } : null) });
  const never = newTarget();
  await expect(fetchIt(always, { target: never })).rejects.toMatchObject({ code: "model_broken" });
  expect(await readdir(join(never, ".."))).not.toContain("model.gguf");
});

test("what may not be had is refused at once; what never comes after some tries", async () => {
  await using closed = await startHub({ token: "hf_right" });
  await expect(fetchIt(closed)).rejects.toMatchObject({ code: "not_admitted" });
  expect(closed.seen.length).toBeLessThanOrEqual(4);
  await using broken = await startHub({ fault: () => ({ kind: "status", status: 500 }) });
  await expect(fetchIt(broken)).rejects.toThrow(/answered 500/u);
});

test("another size than listed, or no room for it, is refused", async () => {
  await using hub = await startHub();
  await expect(fetchIt(hub, { fileBytes: content.length - 1 })).rejects.toMatchObject({ code: "model_broken" });
  const before = hub.sentBytes;
  await expect(fetchIt(hub, { fileBytes: 3 * 1024 ** 4 })).rejects.toMatchObject({ code: "does_not_fit" });
  expect(hub.sentBytes).toBe(before);
});

test("a record that is damaged, or of other bytes, costs fetching again and nothing else", async () => {
  await using hub = await startHub();
  for (const damage of ["", "{", JSON.stringify({ version: 1, identity: "other" })]) {
    const target = newTarget();
    const stop = new AbortController();
    const begun = fetchIt(hub, {
      target,
      signal: stop.signal,
      onProgress: (bytes) => {
        if (bytes > 5 * CHUNK) stop.abort();
      },
    });
    await expect(begun).rejects.toThrow();
    await writeFile(`${target}.part.json`, damage);
    await fetchIt(hub, { target });
    expect((await readFile(target)).equals(content)).toBe(true);
  }
});

test("killed at any moment, it goes on from there and has the right bytes", { timeout: 240_000 }, async () => {
  const kills = Number(process.env["CLUSTERD_PULL_KILLS"] ?? 8);
  await using hub = await startHub({ bytesPerSecond: 1.5e6 });
  const target = newTarget();
  let resumed = 0;
  for (let round = 0; round < kills; round++) {
    const outcome = await killed(hub, target, Math.floor(Math.random() * content.length));
    if (outcome === "finished") await rm(target);
    else if (outcome > 0) resumed += 1;
  }
  await fetchIt(hub, { target });
  expect((await readFile(target)).equals(content)).toBe(true);
  // Some of the kills found something to go on from: else this test shows nothing.
  expect(resumed).toBeGreaterThan(0);
});

/** Runs the download in a process, which is killed once so many bytes have come; gives what it began with, or that it was done. */
function killed(hub: TestHub, target: string, afterBytes: number): Promise<number | "finished"> {
  const script = fileURLToPath(new URL("../testing/pull-process.ts", import.meta.url));
  const child = spawn(process.execPath, [script, hub.endpoint, target, String(content.length), sha256], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let began: number | null = null;
  child.stdout.on("data", (text: Buffer) => {
    for (const line of text.toString().trim().split("\n")) {
      const bytes = Number(line.split(" ")[1]);
      began ??= bytes;
      if (bytes >= afterBytes) child.kill("SIGKILL");
    }
  });
  return new Promise((resolve) => child.once("close", (code) => resolve(code === 0 ? "finished" : (began ?? 0))));
}
