import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { startTestHub, type HubFault, type TestHub, type TestHubOptions } from "../testing/hub-server.ts";
import { downloadFile, type DownloadOptions } from "./download-file.ts";
import { hubSource } from "./hub-source.ts";

const CHUNK = 256 * 1024;
const content = randomBytes(11 * CHUNK + 12_345);
const sha256 = createHash("sha256").update(content).digest("hex");
const folder = await mkdtemp(join(tmpdir(), "clusterd-hostile-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const { signal } = new AbortController();
let targets = 0;
const newTarget = (): string => join(folder, String(targets++), "model.gguf");
const startHub = (changes: Partial<TestHubOptions> = {}): Promise<TestHub> =>
  startTestHub({ files: { "model.gguf": content }, ...changes });

function fetchIt(hub: TestHub, changes: Partial<DownloadOptions> = {}): ReturnType<typeof downloadFile> {
  const config = { endpoint: hub.endpoint, token: null, offline: false };
  const known = changes.sha256 === undefined ? sha256 : changes.sha256;
  return downloadFile({
    source: hubSource(config, { repo: "o/r", commit: "0123abcd", path: "model.gguf", sha256: known }),
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
const isRight = async (target: string): Promise<boolean> => (await readFile(target)).equals(content);

const page = Buffer.from("<html>Sign in to the hotel's network</html>");
const bare: HubFault = { kind: "answer", status: 206, body: content.subarray(0, CHUNK) };
const packed: HubFault = {
  kind: "answer",
  status: 206,
  headers: { "content-encoding": "gzip", "content-range": `bytes 0-${CHUNK - 1}/${content.length}` },
  body: gzipSync(content.subarray(0, CHUNK)),
};
const short: HubFault = {
  kind: "answer",
  status: 206,
  headers: { "content-range": `bytes 0-9/10`, "content-length": "10" },
  body: Buffer.alloc(10),
};

test.each<readonly [string, HubFault, string, RegExp]>([
  ["hangs up after one byte", { kind: "cut", afterBytes: 1 }, "failed", /cannot be read|terminated|hung up|closed/u],
  ["does not say which bytes it sends", bare, "failed", /did not say which bytes/u],
  ["packs what it sends", packed, "failed", /packed \(gzip\)/u],
  ["has a page in the file's place", { kind: "answer", status: 200, body: page }, "failed", /hung up after \d\d of/u],
  ["has another file", short, "model_broken", /in 10 bytes, not the|from byte 0/u],
  ["says the file ends before", { kind: "status", status: 416 }, "model_broken", /ends before byte/u],
  ["forbids it, whatever the address", { kind: "status", status: 403 }, "failed", /answered 403/u],
  ["is being worked on", { kind: "status", status: 503, headers: { "retry-after": "0" } }, "failed", /answered 503/u],
])("a store that %s, always: a reason, few requests, nothing kept under the final name", async (_, fault, code, message) => {
  await using hub = await startHub({ fault: () => fault });
  const target = newTarget();
  const failed = await fetchIt(hub, { target }).catch((error: unknown) => error);
  expect(failed).toMatchObject({
    name: expect.stringMatching(/Error/u) as string,
    message: expect.stringMatching(message) as string,
  });
  if (code !== "failed") expect(failed).toMatchObject({ code });
  // Four ranges at a time, six tries each, two addresses a try.
  expect(hub.seen.filter(({ host }) => host === "store").length).toBeLessThanOrEqual(48);
  expect(await readdir(join(target, ".."))).not.toContain("model.gguf");
});

test("now and then, none of that is in the way, and what came before is not thrown away", async () => {
  for (const fault of [bare, packed, { kind: "answer", status: 200, body: page }, { kind: "more" }] as const) {
    const asked = new Set<string | undefined>();
    await using hub = await startHub({
      fault({ range }, count) {
        const isFirst = !asked.has(range);
        asked.add(range);
        return isFirst && count > 4 ? fault : null;
      },
    });
    const target = newTarget();
    await fetchIt(hub, { target });
    expect(await isRight(target)).toBe(true);
    expect(hub.sentBytes, fault.kind).toBeLessThan(content.length + 12 * CHUNK * (fault.kind === "more" ? 1 : 0.2));
  }
});

test("connections that break at any byte", { timeout: 120_000 }, async () => {
  await using hub = await startHub({
    fault: (_request, count) =>
      count % 2 === 0 ? { kind: "cut", afterBytes: 65_536 + Math.floor(Math.random() * 190_000) } : null,
  });
  const target = newTarget();
  await fetchIt(hub, { target });
  expect(await isRight(target)).toBe(true);
});

test("a file that was stored anew under another tag goes on where its digest is known, and is refused where nothing tells", async () => {
  const retag = (_: unknown, count: number): HubFault | null => (count > 6 ? { kind: "tag", etag: '"another"' } : null);
  await using hub = await startHub({ fault: retag });
  const target = newTarget();
  await fetchIt(hub, { target });
  expect(await isRight(target)).toBe(true);
  expect(hub.sentBytes).toBe(content.length);
  await using unknown = await startHub({ fault: retag });
  const other = newTarget();
  await expect(fetchIt(unknown, { target: other, sha256: null })).rejects.toThrow(/another file in model\.gguf's place/u);
  expect(await readdir(join(other, ".."))).not.toContain("model.gguf");
  // A weak tag tells nothing, and is not asked about.
  await using weak = await startHub({ fault: (_request, count) => ({ kind: "tag", etag: `W/"${count}"` }) });
  const third = newTarget();
  await fetchIt(weak, { target: third, sha256: null });
  expect(await isRight(third)).toBe(true);
  expect(weak.seen.every(({ ifRange }) => ifRange === undefined)).toBe(true);
});

test("what the listing does not tell, the hub tells on the way to the file: wrong bytes are caught", async () => {
  const flip = (_: unknown, count: number): HubFault | null => (count % 12 === 5 ? { kind: "flip", at: 99 } : null);
  await using told = await startHub({ linked: true, fault: flip });
  await expect(fetchIt(told, { sha256: null })).rejects.toMatchObject({ code: "model_broken" });
  await using right = await startHub({ linked: true });
  expect(await fetchIt(right, { sha256: null })).toEqual({ sha256 });
  // The listing's digest is not the file's.
  await expect(fetchIt(right, { sha256: "0".repeat(64) })).rejects.toThrow(/another digest/u);
});

test("bytes that were changed on the disk meanwhile are fetched again, and no others", async () => {
  await using hub = await startHub({ bytesPerSecond: 4e6 });
  const target = newTarget();
  const stop = new AbortController();
  const begun = fetchIt(hub, {
    target,
    signal: stop.signal,
    recordMs: 10,
    onProgress: (bytes) => {
      if (bytes > 8 * CHUNK) stop.abort();
    },
  });
  await expect(begun).rejects.toThrow();
  const part = await readFile(`${target}.part`);
  const record = JSON.parse(await readFile(`${target}.part.json`, "utf8")) as { done: string };
  const done = Buffer.from(record.done, "base64");
  const first = [...Array(12).keys()].find((chunk) => ((done[chunk >> 3] ?? 0) >> (chunk & 7)) & 1) ?? -1;
  expect(first).toBeGreaterThanOrEqual(0);
  part[first * CHUNK + 5] = (part[first * CHUNK + 5] ?? 0) ^ 8;
  await writeFile(`${target}.part`, part);
  hub.seen.length = 0;
  await fetchIt(hub, { target });
  expect(await isRight(target)).toBe(true);
  const again = hub.seen.filter(({ host, range }) => host === "store" && range?.startsWith(`bytes=${first * CHUNK}-`) === true);
  expect(again).toHaveLength(1);
  expect(hub.seen.filter(({ host }) => host === "store").length).toBeLessThan(12);
});

test("a whole file that nobody has written down is looked at, not fetched; another under its name is replaced", async () => {
  await using hub = await startHub();
  const target = newTarget();
  await fetchIt(hub, { target });
  const before = hub.sentBytes;
  expect(await fetchIt(hub, { target })).toEqual({ sha256 });
  expect(hub.sentBytes).toBe(before);
  await writeFile(target, randomBytes(content.length));
  await fetchIt(hub, { target });
  expect(await isRight(target)).toBe(true);
});

test("however many ask, it is fetched once, all see it come, and it stops with the last of them", async () => {
  await using hub = await startHub({ bytesPerSecond: 2e6 });
  const target = newTarget();
  const seen = [0, 0, 0];
  const stops = seen.map(() => new AbortController());
  const all = seen.map((_, at) =>
    fetchIt(hub, {
      target,
      signal: stops[at]?.signal ?? signal,
      onProgress: (bytes) => {
        seen[at] = bytes;
        if (at === 0 && bytes > 2 * CHUNK) stops[0]?.abort();
      },
    }),
  );
  const [left, ...stayed] = await Promise.allSettled(all);
  expect(left?.status).toBe("rejected");
  expect(stayed.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled"]);
  expect(seen.slice(1)).toEqual([content.length, content.length]);
  expect(hub.sentBytes).toBe(content.length);

  const other = newTarget();
  const both = [0, 1].map((at) =>
    fetchIt(hub, {
      target: other,
      signal: stops[at + 1]?.signal ?? signal,
      onProgress: (bytes) => bytes > 2 * CHUNK && stops[at + 1]?.abort(),
    }),
  );
  expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  // Its record was written, and the file is closed: the next one goes on.
  expect((await stat(`${other}.part`)).size).toBe(content.length);
  await fetchIt(hub, { target: other });
  expect(await isRight(other)).toBe(true);
});
