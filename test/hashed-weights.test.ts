import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createManifestStore } from "../packages/catalog/src/manifest/manifest-store.ts";
import { readModelFile, type ModelFile } from "../packages/catalog/src/read-model.ts";
import { createModelWeights, groupsOf, stageWeights } from "../packages/daemon/src/deployments/model-weights.ts";
import { ensureEngine, startHead, startWorker, type Engine } from "../packages/engine/src/index.ts";
import { createHeadStage } from "../packages/engine/src/rpc/head-stage.ts";
import { asDeploymentId, type WorkerStartRequest } from "../packages/wire/src/index.ts";
import { copyFlipped } from "./cluster/harness/model-copies.ts";
import { relayWorker } from "./fixtures/relayed-worker.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../scripts/make-model.ts");
/** One layer whose feed-forward tensors are over the 10 MiB above which llama.cpp hashes. */
const WIDE = ["--layers", "1", "--width", "2048"];
const FLIPPED = "blk.0.ffn_down.weight";
const HASHED_BYTES_MIN = 10 * 1024 * 1024;
const { signal } = new AbortController();

let engine: Engine;
let folder = "";
let own: ModelFile;
let theirs: ModelFile;

beforeAll(async () => {
  engine = await ensureEngine({ signal });
  folder = await mkdtemp(join(tmpdir(), "clusterd-hashed-"));
  const path = join(folder, "wide.gguf");
  await promisify(execFile)(process.execPath, [MAKE_MODEL, path, ...WIDE]);
  await copyFlipped(path, join(folder, "worker", "wide.gguf"), 0);
  own = await readModelFile(path, { signal });
  theirs = await readModelFile(join(folder, "worker", "wide.gguf"), { signal });
}, 900_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The engine as if it lacked our patch: what turns its hashing off does not reach it. */
async function withoutPatch(): Promise<Pick<Engine, "llamaServer">> {
  const llamaServer = join(folder, "llama-server");
  const script = `#!/bin/sh\nunset GGML_RPC_LOCAL_WEIGHTS\nexec '${engine.llamaServer}' "$@"\n`;
  await writeFile(llamaServer, script, { mode: 0o755 });
  return { llamaServer };
}

test.skipIf(process.platform === "win32")(
  "an engine without our patch is sent only what differs: the rest the worker puts in, found by its hash",
  async () => {
    await using stack = new AsyncDisposableStack();
    const { contentId } = own.profile;
    const manifests = createManifestStore(join(folder, "manifests"));
    const atHead = createModelWeights({ byContent: () => own }, join(folder, "digests-head"));
    const atWorker = createModelWeights({ byContent: () => theirs }, join(folder, "digests-worker"), manifests);
    const { table, digests } = await atHead.open(contentId, signal);
    const groups = groupsOf({ firstLayer: 0, lastLayer: 0 });
    const told = await digests(groups, signal);
    const request: WorkerStartRequest = {
      type: "worker-start",
      deployment: asDeploymentId("d"),
      epoch: 1,
      model: "wide",
      device: 0,
      firstLayer: 0,
      lastLayer: 0,
      memoryBytes: 512 * 1024 * 1024,
      contentId,
      digests: told,
    };
    // A head whose engine hashes nothing has no use for hashes, and the worker computes none.
    expect((await atWorker.heldFor(request, signal)).hashed).toEqual([]);
    const held = await atWorker.heldFor({ ...request, hashes: true }, signal);
    expect(held.held).toEqual([false, true]);
    const large = [...table].filter(([name, { bytes }]) => name.startsWith("blk.") && bytes > HASHED_BYTES_MIN);
    expect(held.hashed.map(({ name }) => name).toSorted()).toEqual(large.map(([name]) => name).toSorted());
    expect(large.map(([name]) => name)).toContain(FLIPPED);
    // What was found out stays.
    const { tensors } = (await manifests.of(theirs, signal)).manifest;
    expect(tensors.flatMap(({ name, fnv1a }) => (fnv1a === null ? [] : [{ name, fnv1a }]))).toEqual(
      expect.arrayContaining([...held.hashed]),
    );

    const worker = stack.use(await startWorker({ engine, threads: 1, deviceId: null, signal }));
    const relay = stack.use(
      createHeadStage({
        ...stageWeights(table, groups, told, held.held, held.hashed),
        hiddenBytes: own.profile.hiddenBytes,
        decodeTokensMax: 1,
        probe: () => Promise.resolve(true),
        onLost: () => undefined,
        onStalled: () => undefined,
      }),
    );
    const options = { memoryBytes: request.memoryBytes, weights: held.weights, readsWeights: false };
    const relayed = stack.use(await relayWorker(worker.port, relay, options));
    stack.use(
      await startHead({
        engine: await withoutPatch(),
        modelPath: own.path,
        modelId: "wide",
        layers: { head: 0, workers: [{ endpoint: relayed.endpoint, layers: 1 }] },
        layerCount: 1,
        context: 512,
        slots: 1,
        kv: "f16",
        threads: 1,
        acceleratorId: null,
        mapped: false,
        signal,
      }),
    );
    relay.load.assertComplete();
    expect(relayed.errors).toEqual([]);
    const alike = large.filter(([name]) => name !== FLIPPED).reduce((sum, [, { bytes }]) => sum + bytes, 0);
    const layer = [...table].filter(([name]) => name.startsWith("blk.")).reduce((sum, [, { bytes }]) => sum + bytes, 0);
    const { injectedBytes, sentBytes } = relay.load.summary;
    expect(sentBytes).toBe(layer - alike);
    expect(injectedBytes).toBeGreaterThanOrEqual(alike);
    expect(relayed.wireBytes().up).toBeLessThan(layer - alike + 2 * 1024 * 1024);
  },
  300_000,
);
