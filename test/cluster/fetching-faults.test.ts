import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClusterState, DeploymentView } from "../../packages/wire/src/index.ts";
import { startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts, type Host } from "./harness/hosts.ts";

const MAKE_MODEL = resolve(import.meta.dirname, "../../scripts/make-model.ts");
const MODEL = "large";
/** What the worker is to fetch takes about half a minute at this. */
const SLOW = "12mbit";
/** What a quiet cluster says in a few seconds, with room for a link that is measured. */
const QUIET_BYTES = 3e6;

const network = makeHosts(["a", "b", "c"]);
const worker = network.hosts[1] as Host;
let folder: string;
let path: string;
let cluster: Cluster;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clusterd-fetching-"));
  path = join(folder, `${MODEL}.gguf`);
  execFileSync(process.execPath, [MAKE_MODEL, path, "--layers", "16", "--width", "512"], { stdio: "ignore" });
  cluster = await startCluster(network.hosts, "fetching", () => ["--memory", "2GB", "--bandwidth", "5GB"]);
  worker.link?.limit(SLOW);
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  network[Symbol.dispose]();
  await rm(folder, { recursive: true, force: true });
});

const load = (...words: readonly string[]): ReturnType<Cluster["head"]["run"]> =>
  cluster.head.run("load", path, "--ctx", "256", "--head", "a", ...words);
const deployed = ({ deployments }: ClusterState): DeploymentView | undefined => deployments.find(({ model }) => model === MODEL);
const fetched = (state: ClusterState): number =>
  Math.max(0, ...(deployed(state)?.stages.map(({ fetch }) => fetch?.doneBytes ?? 0) ?? []));

test.runIf(network.isolated)(
  "what is fetched is told in bytes; unloaded meanwhile, it ends; loaded again, it goes on from there",
  async () => {
    const begun = await load("--pin", "a=0-3", "--pin", "b=4-15");
    expect(begun.status, begun.stderr).toBe(0);
    expect(begun.stderr).toMatch(/^b fetches .* from a/m);
    const fetching = await cluster.head.until((state) => fetched(state) > 4e6, "fetching");
    const stage = deployed(fetching)?.stages.find(({ fetch }) => (fetch ?? null) !== null);
    expect(deployed(fetching)?.state).toBe("fetching");
    expect(stage?.fetch?.totalBytes).toBeGreaterThan(30e6);
    const rated = await cluster.head.until(
      (state) => deployed(state)?.stages.some(({ fetch }) => (fetch?.bytesPerSecond ?? null) !== null) ?? false,
      "at a rate",
    );
    const view = deployed(rated)?.stages.find(({ fetch }) => (fetch?.bytesPerSecond ?? null) !== null)?.fetch;
    expect(view?.secondsLeft).toBeGreaterThan(0);
    expect((await cluster.head.run("ps")).stdout).toMatch(/ of 40\.\d MB/);

    expect((await cluster.head.run("unload", MODEL)).status).toBe(0);
    await pause(2_000);
    const before = worker.link?.bytes ?? 0;
    await pause(4_000);
    // At full rate it would be six megabytes.
    expect((worker.link?.bytes ?? 0) - before).toBeLessThan(QUIET_BYTES);

    expect((await load("--pin", "a=0-3", "--pin", "b=4-15")).status).toBe(0);
    const again = await cluster.head.until((state) => fetched(state) > 0, "fetching again");
    expect(fetched(again)).toBeGreaterThan(4e6);
  },
);

test.runIf(network.isolated)("cut off for a while, a node goes on; lost while it fetches, its layers go to another", async () => {
  worker.link?.set("down");
  await pause(3_000);
  worker.link?.set("up");
  const on = fetched(await cluster.head.state());
  await cluster.head.until((state) => fetched(state) > on || deployed(state)?.state === "ready", "going on");
  // Without pins it may go anywhere.
  expect((await cluster.head.run("unload", MODEL)).status).toBe(0);
  expect((await load("--objective", "spread")).status).toBe(0);
  await cluster.head.until((state) => deployed(state)?.state === "fetching" || deployed(state)?.state === "ready", "fetching");
  await cluster.named("b").end("SIGKILL");
  const ready = await cluster.head.until(
    (state) => deployed(state)?.state === "ready" && deployed(state)?.stages.length === 2,
    "going on without b",
  );
  const names = new Map(ready.nodes.map(({ id, name }) => [id, name]));
  expect(deployed(ready)?.stages.map(({ node }) => names.get(node))).toEqual(["a", "c"]);
});
