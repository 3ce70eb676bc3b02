import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ModelProfile } from "@clusterd/wire";
import { afterAll, afterEach, expect, test } from "vitest";
import { openCatalog } from "../catalog.ts";
import { guardHeader, newContentHash } from "../header-guard.ts";
import { readModelFile } from "../read-model.ts";
import { readRemoteModel } from "./read-remote.ts";

const DEMO = fileURLToPath(new URL("../../../../models/demo-16l-q8_0.gguf", import.meta.url));
const demo = await readFile(DEMO);
const signal = AbortSignal.timeout(60_000);
const folder = await mkdtemp(join(tmpdir(), "clusterd-remote-"));
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handle);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Answers a request for a range of `bytes` as file stores do. */
function sendRange(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/u.exec(request.headers.range ?? "") ?? [];
  if (first === undefined || last === undefined) {
    response.writeHead(200).end(bytes);
    return;
  }
  const end = Math.min(Number(last), bytes.length - 1);
  response
    .writeHead(206, { "content-range": `bytes ${first}-${end}/${bytes.length}` })
    .end(bytes.subarray(Number(first), end + 1));
}

interface Hub {
  readonly endpoint: string;
  /** Every request: path, range, whether it bore a token. */
  readonly seen: { readonly path: string; readonly range: string | undefined; readonly token: string | undefined }[];
}

/** A hub with one repository, `o/r`; its files are stored on another host, as the real one's. */
async function hub(
  files: Readonly<Record<string, Buffer>>,
  answer?: (path: string, response: ServerResponse) => boolean,
): Promise<Hub> {
  const seen: Hub["seen"] = [];
  const note = (request: IncomingMessage): string => {
    const path = (request.url ?? "").split("?")[0] ?? "";
    seen.push({ path, range: request.headers.range, token: request.headers.authorization });
    return path;
  };
  const store = await serve((request, response) => {
    const bytes = files[decodeURIComponent(note(request).slice("/stored/".length))];
    if (bytes === undefined) response.writeHead(404).end();
    else sendRange(request, response, bytes);
  });
  const endpoint = await serve((request, response) => {
    const path = note(request);
    if (answer?.(path, response) === true) return;
    if (path.startsWith("/api/models/o/r/revision/")) {
      const siblings = Object.entries(files).map(([rfilename, bytes]) => ({
        rfilename,
        size: bytes.length,
        lfs: { sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length },
      }));
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ sha: "0123abcd", siblings }));
    } else if (path.startsWith("/o/r/resolve/0123abcd/")) {
      const name = decodeURIComponent(path.slice("/o/r/resolve/0123abcd/".length));
      response.writeHead(302, { location: `${store}/stored/${encodeURIComponent(name)}` }).end();
    } else response.writeHead(404, { "x-error-code": "RepoNotFound" }).end();
  });
  return { endpoint, seen };
}

let homes = 0;
const read = (
  ref: string,
  endpoint: string,
  env: Record<string, string> = {},
  cacheDir = join(folder, `cache-${homes++}`),
): Promise<ModelProfile> =>
  readRemoteModel(ref, { cacheDir, env: { HF_ENDPOINT: endpoint, ...env }, signal }).then(({ profile }) => profile);

test("a remote model is the same as the file, by its header alone, which is kept", async () => {
  // Weights enough that reading them all would show.
  const large = Buffer.concat([demo, Buffer.alloc(6 * 1024 * 1024)]);
  const { endpoint, seen } = await hub({ "demo-Q8_0.gguf": large, "README.md": Buffer.from("x") });
  const cacheDir = join(folder, "kept");
  const profile = await read("hf:o/r:q8_0", endpoint, {}, cacheDir);
  // What lies beside a file is looked for on this disk alone.
  const local = (await readModelFile(DEMO, { signal })).profile;
  expect(profile).toEqual({ ...local, id: "o/r:Q8_0", fileBytes: large.length });
  const ranges = seen.flatMap(({ range }) => (range === undefined ? [] : [range]));
  expect(ranges).toEqual(["bytes=0-524287", "bytes=0-524287"]);

  seen.length = 0;
  expect(await read("hf:o/r", endpoint, {}, cacheDir)).toEqual(profile);
  expect(seen.map(({ path }) => path)).toEqual(["/api/models/o/r/revision/main"]);

  seen.length = 0;
  expect(await read("hf:o/r", endpoint, { HF_HUB_OFFLINE: "1" }, cacheDir)).toEqual(profile);
  expect(seen).toEqual([]);
  await expect(read("hf:o/other", endpoint, { HF_HUB_OFFLINE: "1" }, cacheDir)).rejects.toThrow(/HF_HUB_OFFLINE/u);
});

test("a kept header that was damaged is fetched again", async () => {
  const { endpoint, seen } = await hub({ "demo-Q8_0.gguf": demo });
  const cacheDir = join(folder, "damaged");
  const profile = await read("hf:o/r", endpoint, {}, cacheDir);
  const kept = (await readdir(cacheDir, { recursive: true })).find((name) => name.endsWith("demo-Q8_0.gguf"));
  await writeFile(join(cacheDir, kept ?? ""), demo.subarray(0, 1000));
  seen.length = 0;
  expect(await read("hf:o/r", endpoint, {}, cacheDir)).toEqual(profile);
  expect(seen.some(({ range }) => range !== undefined)).toBe(true);
});

test("the token goes to the hub and not to where it keeps its files", async () => {
  const { endpoint, seen } = await hub({ "demo-Q8_0.gguf": demo });
  await read("hf:o/r", endpoint, { HF_TOKEN: "hf_secret" });
  const stored = seen.filter(({ path }) => path.startsWith("/stored/"));
  expect(stored).not.toHaveLength(0);
  expect(stored.every(({ token }) => token === undefined)).toBe(true);
  expect(seen.filter(({ path }) => !path.startsWith("/stored/")).every(({ token }) => token === "Bearer hf_secret")).toBe(true);
});

test("a header larger than the first range is read by further ones", async () => {
  const padded = withLongHeader(700_000);
  const { endpoint, seen } = await hub({ "demo-Q8_0.gguf": padded });
  const profile = await read("hf:o/r", endpoint);
  expect(profile.layers).toHaveLength(16);
  const ranges = seen.filter(({ path }) => path.startsWith("/stored/")).map(({ range }) => range);
  expect(ranges).toEqual(["bytes=0-524287", "bytes=524288-1572863"]);
});

/** The demo model with one more metadata entry: a text of `bytes` letters. */
function withLongHeader(bytes: number): Buffer {
  const text = Buffer.alloc(8 + bytes, 97);
  text.writeBigUInt64LE(BigInt(bytes));
  // Enough behind it for tensors that begin a little later.
  return Buffer.concat([fixed(147, metadataCount() + 1), entry("demo.padding", 8, text), demo.subarray(24), Buffer.alloc(64)]);
}

const metadataCount = (): number => Number(demo.readBigUInt64LE(16));

function fixed(tensors: number, entries: number): Buffer {
  const start = Buffer.from(demo.subarray(0, 24));
  start.writeBigUInt64LE(BigInt(tensors), 8);
  start.writeBigUInt64LE(BigInt(entries), 16);
  return start;
}

function entry(key: string, type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(8 + key.length + 4);
  head.writeBigUInt64LE(BigInt(key.length));
  head.write(key, 8);
  head.writeUInt32LE(type, 8 + key.length);
  return Buffer.concat([head, value]);
}

/** The demo model in two parts as llama.cpp splits it: all metadata in the first, all tensors in the second. */
async function splitDemo(): Promise<readonly [Buffer, Buffer]> {
  const { tensors, dataStart } = await guardHeader(DEMO, newContentHash(), signal);
  const tableStart = demo.indexOf(tensors[0]?.name ?? "") - 8;
  const table = demo.subarray(tableStart, dataStart);
  const u16 = (value: number): Buffer => Buffer.from([value, 0]);
  const i32 = (value: number): Buffer => Buffer.from([value, 0, 0, 0]);
  const marks = (number: number): Buffer =>
    Buffer.concat([
      entry("split.no", 2, u16(number)),
      entry("split.count", 2, u16(2)),
      entry("split.tensors.count", 5, i32(tensors.length)),
    ]);
  const first = Buffer.concat([fixed(0, metadataCount() + 3), marks(0), demo.subarray(24, tableStart)]);
  const tableBytes = tensors.reduce((sum, { name, dimensions }) => sum + 24 + name.length + 8 * dimensions.length, 0);
  const head = Buffer.concat([fixed(tensors.length, 3), marks(1), table.subarray(0, tableBytes)]);
  const padding = Buffer.alloc(Math.ceil(head.length / 32) * 32 - head.length);
  return [first, Buffer.concat([head, padding, demo.subarray(dataStart)])];
}

test("all parts of a split model are read", async () => {
  const [first, second] = await splitDemo();
  const { endpoint, seen } = await hub({
    "Q8_0/demo-Q8_0-00002-of-00002.gguf": second,
    "Q8_0/demo-Q8_0-00001-of-00002.gguf": first,
  });
  const profile = await read("hf:o/r:Q8_0", endpoint);
  const { profile: whole } = await readModelFile(DEMO, { signal });
  expect(profile.layers).toEqual(whole.layers);
  expect(profile).toMatchObject({ id: "o/r:Q8_0", fileBytes: first.length + second.length });
  expect(seen.filter(({ path }) => path.startsWith("/stored/"))).toHaveLength(2);
});

test("what the hub refuses is told with what to do", async () => {
  const gated =
    (code: string | null, status = 401) =>
    (path: string, response: ServerResponse) => {
      if (!path.startsWith("/api/")) return false;
      response.writeHead(status, code === null ? {} : { "x-error-code": code }).end();
      return true;
    };
  const { endpoint } = await hub({}, gated("GatedRepo"));
  await expect(read("hf:o/r", endpoint)).rejects.toMatchObject({
    code: "not_admitted",
    next: expect.stringContaining(`${endpoint}/o/r`),
  });
  await expect(read("hf:o/r", endpoint)).rejects.toMatchObject({ next: expect.stringContaining("set HF_TOKEN") });
  const refused = await hub({}, gated(null, 403));
  await expect(read("hf:o/r", refused.endpoint, { HF_TOKEN: "hf_x" })).rejects.toMatchObject({ code: "not_admitted" });
  // Listed for all, but its files are not given to all: as most gated ones are.
  const listed = await hub({ "demo-Q8_0.gguf": demo }, (path, response) => {
    if (!path.includes("/resolve/")) return false;
    response.writeHead(401, { "x-error-code": "GatedRepo" }).end();
    return true;
  });
  await expect(read("hf:o/r", listed.endpoint)).rejects.toMatchObject({
    code: "not_admitted",
    next: expect.stringContaining("Accept its terms"),
  });
  const hidden = await hub({}, gated(null, 401));
  await expect(read("hf:o/r", hidden.endpoint)).rejects.toMatchObject({
    code: "not_admitted",
    message: expect.stringContaining("not there"),
  });
  const absent = await hub({}, gated("RepoNotFound"));
  await expect(read("hf:o/r", absent.endpoint)).rejects.toMatchObject({ code: "not_found" });
  const unrevised = await hub({}, gated("RevisionNotFound", 404));
  await expect(read("hf:o/r@v9", unrevised.endpoint)).rejects.toThrow(/no such revision/u);
  const busy = await hub({}, gated(null, 429));
  await expect(read("hf:o/r", busy.endpoint)).rejects.toMatchObject({
    code: "failed",
    next: expect.stringContaining("slow down"),
  });
  await expect(read("hf:o/r", "http://127.0.0.1:1")).rejects.toMatchObject({ code: "failed" });
});

test("a server that knows no ranges is not read to the end", async () => {
  const { endpoint } = await hub({ "demo-Q8_0.gguf": demo }, (path, response) => {
    if (!path.includes("/resolve/")) return false;
    response.writeHead(200).end(demo);
    return true;
  });
  await expect(read("hf:o/r", endpoint)).rejects.toMatchObject({ code: "unsupported" });
});

test.each([
  ["of another size than listed", "bytes 0-99/100", demo.subarray(0, 100), /not the \d+ that are listed/u],
  ["from another place", `bytes 7-${demo.length - 1}/${demo.length}`, demo.subarray(7), /came from byte 7/u],
  ["cut short", `bytes 0-524287/${demo.length}`, demo.subarray(0, 3000), /cut short/u],
])("an answer %s is refused", async (_, range, bytes, message) => {
  const { endpoint } = await hub({ "demo-Q8_0.gguf": demo }, (path, response) => {
    if (!path.includes("/resolve/")) return false;
    response.writeHead(206, { "content-range": range }).end(bytes);
    return true;
  });
  await expect(read("hf:o/r", endpoint)).rejects.toThrow(message);
});

test("a hostile header is refused as a file's is, before more of it is read", async () => {
  const hostile = Buffer.from(demo);
  hostile.writeBigUInt64LE(2n ** 60n, 24);
  const { endpoint, seen } = await hub({ "demo-Q8_0.gguf": Buffer.concat([hostile, Buffer.alloc(8_000_000)]) });
  await expect(read("hf:o/r", endpoint)).rejects.toMatchObject({ code: "model_broken" });
  expect(seen.filter(({ path }) => path.startsWith("/stored/"))).toHaveLength(1);
  const truncated = await hub({ "demo-Q8_0.gguf": demo.subarray(0, 1_000_000) });
  await expect(read("hf:o/r", truncated.endpoint)).rejects.toThrow(/its header says/u);
});

test("redirects in circles end, and a listing does not lead elsewhere", async () => {
  const { endpoint } = await hub({ "demo-Q8_0.gguf": demo }, (path, response) => {
    if (!path.includes("/resolve/")) return false;
    response.writeHead(302, { location: path }).end();
    return true;
  });
  await expect(read("hf:o/r", endpoint)).rejects.toThrow(/in circles/u);
  const elsewhere = await hub({}, (_path, response) => {
    response.writeHead(307, { location: "http://127.0.0.1:9/elsewhere" }).end();
    return true;
  });
  await expect(read("hf:o/r", elsewhere.endpoint)).rejects.toThrow(/does not follow/u);
});

test("the catalog plans with remote and catalogued models, and loads neither", async () => {
  const { endpoint } = await hub({ "demo-Q8_0.gguf": demo });
  const home = join(folder, "home");
  const catalog = await openCatalog({ home, bundled: [{ name: "demo", path: DEMO }], signal, env: { HF_ENDPOINT: endpoint } });
  expect((await catalog.describe("hf:o/r", signal)).id).toBe("o/r:Q8_0");
  expect((await catalog.describe("Qwen3-8B:q8_0", signal)).id).toBe("qwen3-8b:Q8_0");
  expect((await catalog.describe("demo", signal)).id).toBe("demo-16l-q8_0");
  await expect(catalog.resolve("hf:o/r", signal)).rejects.toMatchObject({ code: "not_found" });
  await expect(catalog.resolve("qwen3-8b", signal)).rejects.toMatchObject({
    code: "not_found",
    message: expect.stringContaining("No node has"),
  });
  await expect(catalog.describe("qwn3-8b", signal)).rejects.toMatchObject({ next: expect.stringContaining("qwen3-8b") });
});
