import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { startCluster, type Cluster } from "../../cluster/harness/cluster.ts";
import { makeHosts } from "../../cluster/harness/hosts.ts";
import type { TestNode } from "../../cluster/harness/node.ts";
import { writeVariant } from "../../cluster/harness/model-copies.ts";
import { openDoor } from "./door.ts";
import { EMBEDDING_MODEL, EMBEDDING_WIDTH, FRAGILE, FRAGILE_SLOTS, SLEEPER } from "./models.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../../scripts/make-model.ts");
/** What listens beyond loopback. */
const OPEN_HOST = "c";

declare module "vitest" {
  interface ProvidedContext {
    /** The API of a node that is not the head, as a program on its machine finds it. */
    readonly url: string;
    /** The API of a node that listens beyond its machine, and a key for it. */
    readonly openUrl: string;
    readonly key: string;
    /** The daemon of a node that is not the head, whose engines may be killed. */
    readonly workerPid: number;
  }
}

/** A model that makes embeddings of no meaning: random weights, all alike from run to run. */
async function loadEmbeddingModel(head: TestNode, folder: string): Promise<void> {
  const path = join(folder, `${EMBEDDING_MODEL}.gguf`);
  const shape = ["--arch", "bert", "--layers", "4", "--width", String(EMBEDDING_WIDTH)];
  await promisify(execFile)(process.execPath, [MAKE_MODEL, path, ...shape]);
  const loaded = await head.run("load", path, "--objective", "spread", "--head", head.host.name, "--wait");
  if (loaded.status !== 0) throw new Error(`the embedding model was not loaded: ${loaded.stderr}`);
}

/** Loads a model for a stream of every client at once. */
async function loadFragile(head: TestNode, folder: string): Promise<void> {
  const flags = ["--objective", "spread", "--head", head.host.name, "--slots", String(FRAGILE_SLOTS), "--wait"];
  const loaded = await head.run("load", await writeVariant(folder, FRAGILE), ...flags);
  if (loaded.status !== 0) throw new Error(`the fragile model was not loaded: ${loaded.stderr}`);
}

/** Makes a model known that nobody has loaded. */
async function addSleeper(head: TestNode, folder: string): Promise<void> {
  const planned = await head.run("plan", await writeVariant(folder, SLEEPER));
  if (planned.status !== 0) throw new Error(`the other model is no good: ${planned.stderr}`);
}

async function doorTo(node: TestNode) {
  const { hostname, port } = new URL(String((await node.event("ready"))["api"]));
  return openDoor(node.host, hostname === "0.0.0.0" ? "127.0.0.1" : hostname, Number(port));
}

/** One cluster of three hosts for all clients: the first is the head of both models, the second is asked, the third needs a key. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await using started = new AsyncDisposableStack();
  const network = started.use(makeHosts(["a", "b", OPEN_HOST]));
  const folder = await mkdtemp(join(tmpdir(), "clusterd-clients-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const open = ["--api-host", "0.0.0.0"];
  const cluster: Cluster = started.use(await startCluster(network.hosts, "lab", (host) => (host.name === OPEN_HOST ? open : [])));
  const stages = await cluster.spread();
  if (stages.size !== network.hosts.length) throw new Error(`the demo model lies on ${stages.size} hosts`);
  await loadEmbeddingModel(cluster.head, folder);
  await addSleeper(cluster.head, folder);
  await loadFragile(cluster.head, folder);
  project.provide("workerPid", cluster.named(OPEN_HOST).pid);
  const asked = started.use(await doorTo(cluster.named("b")));
  const keyed = started.use(await doorTo(cluster.named(OPEN_HOST)));
  project.provide("url", asked.url);
  project.provide("openUrl", keyed.url);
  project.provide("key", (await readFile(join(cluster.named(OPEN_HOST).home, "api.key"), "utf8")).trim());
  const all = started.move();
  return () => all.disposeAsync();
}
