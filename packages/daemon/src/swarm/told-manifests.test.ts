import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  blocksFor,
  createManifestStore,
  openShardStore,
  openWholeFile,
  parseManifest,
  readModelFile,
  type HeldModel,
  type ModelFile,
  type ModelManifest,
  type ShardFile,
} from "@clusterd/catalog";
import { asNodeId, type NodeId } from "@clusterd/wire";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createUseBook } from "../keeping/use-book.ts";
import { BUNDLED_MODELS } from "../offline/bundled-models.ts";
import type { Store } from "../state/store.ts";
import { createManifests, type Manifests } from "../weights/manifests.ts";
import { memberWeights } from "../weights/member-weights.ts";
import { serveWeights } from "../weights/serve-weights.ts";
import { createDistrust } from "./distrust.ts";
import type { HeldParts } from "./held-parts.ts";
import { openSwarm } from "./swarm.ts";

const { signal } = new AbortController();
const folder = await mkdtemp(join(tmpdir(), "clusterd-told-"));
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const WISH = { firstLayer: 4, lastLayer: 5, isHead: false };

let right: ModelFile;
let bent: ModelFile;
let whole: HeldModel & AsyncDisposable;
let wholeBent: HeldModel & AsyncDisposable;
/** As a node knows it that has read the file it pulled. */
let manifest: string;
const servers: Server[] = [];
const opened: Manifests[] = [];
let count = 0;

/** A node's manifests, over the files that it has. */
function manifestsOf(modelsDir: string, files: { (): ModelFile | null }, log: string[] = []): Manifests {
  const made = createManifests({
    store: createManifestStore(join(folder, `manifests-${count++}`)),
    fileOf: files,
    pulled: () => [files()].filter((file) => file !== null),
    modelsDir,
    calmMs: 0,
    log: (line) => void log.push(line),
    signal,
  });
  opened.push(made);
  return made;
}

/** A model in a folder of pulled ones, which the hub says to have these digests. */
async function pulled(from: string, name: string, digest: string): Promise<{ file: ModelFile; modelsDir: string }> {
  const modelsDir = join(folder, name);
  const path = join(modelsDir, "owner", "repo", "demo.gguf");
  await mkdir(join(modelsDir, "owner", "repo"), { recursive: true });
  await copyFile(from, path);
  const { fileBytes: bytes } = right.profile;
  const record = {
    path: "demo.gguf",
    bytes,
    sha256: digest,
    commit: "0".repeat(40),
    quantisation: "Q8_0",
    readAtMs: 0,
    stamp: null,
  };
  await writeFile(join(modelsDir, "owner", "repo", "pulled.json"), JSON.stringify([record]));
  return { file: await readModelFile(path, { signal }), modelsDir };
}

beforeAll(async () => {
  right = await readModelFile(BUNDLED_MODELS[0]?.path ?? "", { signal });
  whole = await openWholeFile(right, signal);
  const path = join(folder, "bent.gguf");
  await copyFile(right.path, path);
  const [block] = blocksFor(whole.layout, WISH);
  {
    await using handle = await open(path, "r+");
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, (block?.position ?? 0) + 7);
    await handle.write(Buffer.of(byte.readUInt8(0) ^ 1), 0, 1, (block?.position ?? 0) + 7);
  }
  bent = await readModelFile(path, { signal });
  wholeBent = await openWholeFile(bent, signal);
  const { file, modelsDir } = await pulled(right.path, "pulled", sha256(await readFile(right.path)));
  const manifests = manifestsOf(modelsDir, () => file);
  expect(await manifests.textOf(right.profile.contentId)).toBeNull();
  await manifests.readPulled();
  manifest = (await manifests.textOf(right.profile.contentId)) ?? "";
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
afterAll(async () => {
  for (const manifests of opened) await manifests[Symbol.asyncDispose]();
  await whole?.[Symbol.asyncDispose]();
  await wholeBent?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Peer {
  readonly model: HeldModel;
  readonly tells?: string;
}

/** Fetches layers at the wish of a head from these members; what was said, and what has come. */
async function fetchFrom(peers: Readonly<Record<string, Peer>>, root: string) {
  const { contentId } = right.profile;
  const ports = new Map<string, number>();
  for (const [name, { model, tells }] of Object.entries(peers)) {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      void serveWeights(socket, model, tells === undefined ? {} : { manifest: () => Promise.resolve(tells) });
    }).listen(0, "127.0.0.1");
    servers.push(server);
    await once(server, "listening");
    ports.set(name, (server.address() as AddressInfo).port);
  }
  const adverts = Object.keys(peers).map((name) => ({ node: asNodeId(name), models: [{ contentId }], held: [] }));
  const others = new Map(adverts.map((advert) => [advert.node, { state: "alive", advert }]));
  const shards = await openShardStore({ dir: join(folder, `shards-${count++}`), cacheDir: join(folder, "profiles"), signal });
  const said: string[] = [];
  const manifests = manifestsOf(folder, () => shards.fileOf(contentId), said);
  const config: Parameters<typeof openSwarm>[0] = {
    store: { state: { self: asNodeId("self"), others } } as unknown as Store,
    shards,
    held: { fetching: () => ({ [Symbol.dispose]: () => undefined }) } as unknown as HeldParts,
    distrust: createDistrust(),
    manifests,
    uses: createUseBook(() => undefined),
    weightsOf: (node: NodeId) =>
      memberWeights(node, async () => {
        const socket = connect({ host: "127.0.0.1", port: ports.get(node) ?? 0 });
        await once(socket, "connect");
        return socket;
      }),
    log: (line) => void said.push(line),
  };
  const model = { contentId, model: "demo", root: asNodeId(root), named: [], hub: null, wish: WISH, signal };
  await using swarm = openSwarm(config, model);
  const shard: ShardFile = await shards.begin(contentId, { ...(await swarm.headers()), model: "demo" }, signal);
  const error: unknown = await swarm
    .fetch(shard, "layers 4-5 of demo", () => undefined)
    .then(
      () => null,
      (thrown: unknown) => thrown,
    );
  const wrong: number[] = [];
  for (const block of blocksFor(whole.layout, WISH))
    if (shard.has(block) && !(await shard.read(block)).equals(await whole.read(block))) wrong.push(block.index);
  const kept = await manifests.textOf(contentId);
  await shards[Symbol.asyncDispose]();
  return { error, said, wrong, kept };
}

const liars = (said: readonly string[]): readonly string[] =>
  said.filter((line) => line.includes("It is not asked again")).map((line) => line.split(" ")[0] ?? "");

test("a head whose file has changed is found out by what another member knows from the hub", async () => {
  const { error, said, wrong, kept } = await fetchFrom(
    { head: { model: wholeBent }, other: { model: whole, tells: manifest } },
    "head",
  );
  expect(error).toBeNull();
  expect(wrong).toEqual([]);
  expect(liars(said)).toEqual(["head"]);
  // Known here from now on, but not as one's own.
  const { source, blocks } = JSON.parse(kept ?? "{}") as ModelManifest;
  expect([source, blocks]).toEqual(["member", (JSON.parse(manifest) as ModelManifest).blocks]);
});

test("without a manifest the head's word is all there is", async () => {
  const { error, said, wrong, kept } = await fetchFrom({ head: { model: wholeBent } }, "head");
  expect([error, liars(said), kept]).toEqual([null, [], null]);
  expect(wrong).toHaveLength(1);
});

test("a member that tells a wrong manifest is outvoted, named, and believed no more", async () => {
  const lie = manifest.replaceAll(/"blocks":\[[^\]]*\]/gu, (text) => text.replaceAll(/[0-9a-f]{64}/gu, "ab".repeat(32)));
  expect(lie).not.toBe(manifest);
  const { error, said, wrong, kept } = await fetchFrom(
    { head: { model: whole }, liar: { model: whole, tells: lie }, third: { model: whole } },
    "head",
  );
  expect(error).toBeNull();
  expect([wrong, liars(said), kept]).toEqual([[], [], null]);
  expect(said.filter((line) => line.startsWith("The manifest that liar tells of demo is not what others have"))).not.toEqual([]);
});

test("what is no manifest of this model is as none", async () => {
  for (const tells of ["[".repeat(100_000), manifest.replace('"offset":', '"offset":1')]) {
    const { error, said, kept } = await fetchFrom({ head: { model: whole, tells } }, "head");
    expect([error, liars(said), kept]).toEqual([null, [], null]);
  }
});

test("a pulled file that is not what the hub says has no manifest, and that is said once", async () => {
  const said: string[] = [];
  const { file, modelsDir } = await pulled(bent.path, "damaged", sha256(await readFile(right.path)));
  const manifests = manifestsOf(modelsDir, () => file, said);
  await manifests.readPulled();
  await manifests.readPulled();
  expect(said[0]).toMatch(/has no manifest: .*SHA-256 is [0-9a-f]{64}, the hub says/u);
  expect(await manifests.textOf(file.profile.contentId)).toBeNull();
  expect(said).toHaveLength(1);
});

test("a manifest that was told reads back as what it was made from", async () => {
  const { manifest: bare } = await createManifestStore(join(folder, "bare")).of(right, signal);
  expect(parseManifest(manifest, bare)).toMatchObject({ source: "hub", contentId: right.profile.contentId });
});
