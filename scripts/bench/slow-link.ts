// How long a model takes to load, and to answer, where the worker has its weights itself and its cable is slow ÷ the same over a fast
// one; and what crosses the cable for it. Two hosts, real daemons, all layers on the worker; rates take turns in one run.
// Usage: node scripts/bench/slow-link.ts [--model FILE.gguf] [--rates 1gbit,10mbit] [--rounds 5] [--before DIR] [--json]
//   --before DIR: a checkout of another version, which takes turns with this one          (root only: network namespaces)
import { copyFile, mkdir, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { readModelFile } from "../../packages/catalog/src/read-model.ts";
import { makeHosts, type Host } from "../../test/cluster/harness/hosts.ts";
import type { startNode, TestNode } from "../../test/cluster/harness/node.ts";
import { readCable } from "./cables.ts";
import { describeMachine, median } from "./machine.ts";
import { processCpuMs } from "./process-cpu.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: fileURLToPath(new URL("../../models/demo-16l-q8_0.gguf", import.meta.url)) },
    rates: { type: "string", default: "1gbit,10mbit" },
    rounds: { type: "string", default: "5" },
    before: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const RATES = values.rates.split(",");
const ROUNDS = Number(values.rounds);
const FILE = "slow-link.gguf";
/** Of different lengths: the engine makes new graphs for each. */
const PROMPTS: readonly string[] = ["What is the capital of France?", "And what, by the way, is the capital of Japan?"];
const ANSWER_TOKENS = 8;

interface Figures {
  readonly loadMs: number;
  readonly loadUp: number;
  readonly loadDown: number;
  /** Of all prompts together, their answers included. */
  readonly answerMs: number;
  readonly answerUp: number;
  readonly answerDown: number;
  /** Of both daemons, from the load to the last answer. */
  readonly cpuMs: number;
}
interface Cluster {
  readonly name: string;
  readonly head: TestNode;
  readonly worker: TestNode;
  readonly cable: Host;
  readonly path: string;
  readonly figures: Map<string, Figures[]>;
}

/** Two daemons of one checkout, each on a host of its own with the model in its folder. */
async function startCluster(
  name: string,
  checkout: string,
  [hostHead, hostWorker]: readonly [Host, Host],
  stack: AsyncDisposableStack,
): Promise<Cluster> {
  const url = pathToFileURL(join(checkout, "test/cluster/harness/node.ts")).href;
  const harness = (await import(url)) as { startNode: typeof startNode; newHome(name: string): Promise<string> };
  const start = async (host: Host, ...args: string[]): Promise<TestNode> => {
    const home = await harness.newHome(host.name);
    stack.defer(() => rm(dirname(home), { recursive: true, force: true }));
    await mkdir(join(home, "models"), { recursive: true });
    await copyFile(values.model, join(home, "models", FILE));
    return stack.use(await harness.startNode(host, { home, args: ["--no-mdns", ...args] }));
  };
  const head = await start(hostHead, "--cluster", name);
  const mesh = ((await head.event("ready"))["mesh"] as string[]).find((address) => !address.includes("/127.0.0.1/"));
  const token = (await head.run("token")).stdout.trim();
  const worker = await start(hostWorker, "--token", token, "--peer", String(mesh));
  await worker.event("admitted");
  await head.until((state) => state.nodes.filter((node) => node.state === "alive").length === 2, "a cluster of two");
  // Measuring a link takes megabytes of it: that is over before bytes are counted.
  await head.until((state) => state.nodes.every((node) => node.links.some((link) => link.bytesPerSecond > 0)), "measured");
  const path = join(head.home, "models", FILE);
  return { name, head, worker, path, cable: hostWorker, figures: new Map() };
}

async function measure(cluster: Cluster, layers: number): Promise<Figures> {
  const { head, worker, cable, path } = cluster;
  const cpu = async (): Promise<number> => ((await processCpuMs(head.pid)) ?? 0) + ((await processCpuMs(worker.pid)) ?? 0);
  const look = async () => ({ ms: performance.now(), ...readCable(cable), cpuMs: await cpu() });
  const begun = await look();
  const loaded = await head.run(
    "load",
    path,
    "--head",
    head.host.name,
    "--pin",
    `${worker.host.name}=0-${layers - 1}`,
    "--wait",
    "--json",
  );
  if (loaded.status !== 0) throw new Error(`${loaded.stdout}${loaded.stderr}`);
  const ready = await look();
  const model = (await head.state()).deployments[0]?.model ?? "";
  const asked = await look();
  for (const content of PROMPTS) {
    const body = { model, messages: [{ role: "user", content }], temperature: 0, max_tokens: ANSWER_TOKENS };
    const text = await head.post("/v1/chat/completions", body);
    if (!text.includes('"choices"')) throw new Error(text);
  }
  const end = await look();
  await head.run("unload", model);
  return {
    loadMs: ready.ms - begun.ms,
    loadUp: ready.receivedBytes - begun.receivedBytes,
    loadDown: ready.sentBytes - begun.sentBytes,
    answerMs: end.ms - asked.ms,
    answerUp: end.receivedBytes - asked.receivedBytes,
    answerDown: end.sentBytes - asked.sentBytes,
    cpuMs: end.cpuMs - begun.cpuMs,
  };
}

await using stack = new AsyncDisposableStack();
const names = ["head", "worker", ...(values.before === undefined ? [] : ["head-before", "worker-before"])];
const network = stack.use(makeHosts(names));
if (!network.isolated) throw new Error("network namespaces are needed: run it as root");
const [head, worker, headBefore, workerBefore] = network.hosts as [Host, Host, Host, Host];
const clusters = [await startCluster("now", resolve(import.meta.dirname, "../.."), [head, worker], stack)];
if (values.before !== undefined)
  clusters.unshift(await startCluster("before", resolve(values.before), [headBefore, workerBefore], stack));
const { profile } = await readModelFile(values.model, { signal: AbortSignal.timeout(60_000) });

// The first round fills the caches of profiles and digests.
for (let round = 0; round <= ROUNDS; round += 1) {
  for (const [index] of RATES.entries()) {
    const rate = RATES[(index + round) % RATES.length] as string;
    for (const cluster of clusters) {
      cluster.cable.link?.limit(rate);
      const figures = await measure(cluster, profile.layers.length);
      if (round > 0) cluster.figures.set(rate, [...(cluster.figures.get(rate) ?? []), figures]);
      process.stderr.write(
        `${round} ${cluster.name} ${rate}: ${figures.loadMs.toFixed(0)} + ${figures.answerMs.toFixed(0)} ms\n`,
      );
    }
  }
}

const rows = clusters.flatMap((cluster) =>
  RATES.map((rate) => {
    const list = cluster.figures.get(rate) ?? [];
    const fast = cluster.figures.get(RATES[0] as string) ?? [];
    const of = (what: keyof Figures): number => Math.round(median(list.map((figures) => figures[what])));
    const ratio = (what: keyof Figures): string =>
      median(list.map((figures, index) => figures[what] / (fast[index]?.[what] ?? Number.NaN))).toFixed(2);
    return {
      ...{ version: cluster.name, cable: rate, loadMs: of("loadMs"), loadRatio: ratio("loadMs") },
      ...{ loadUp: of("loadUp"), loadDown: of("loadDown"), answersMs: of("answerMs"), answersRatio: ratio("answerMs") },
      ...{ answersUp: of("answerUp"), answersDown: of("answerDown"), cpuMs: of("cpuMs") },
    };
  }),
);
if (values.json) process.stdout.write(`${JSON.stringify(rows)}\n`);
else {
  console.log(`Machine: ${describeMachine()}. ${basename(values.model)}, medians of ${ROUNDS} rounds.\n`);
  const titles =
    "version | cable | load --wait, ms | ÷ fast | bytes to worker | from worker | two answers, ms | ÷ fast | bytes to worker | from worker | CPU ms, both daemons";
  console.log(`| ${titles} |\n|${" --- |".repeat(titles.split(" | ").length)}`);
  for (const row of rows) console.log(`| ${Object.values(row).join(" | ")} |`);
}
