// Kills, stops and cuts at random over four nodes on this machine while a client streams, and what came of each.
// Usage: node scripts/soak-faults.ts [--times 200] [--seconds N] [--seed N] [--json]      (root: hosts in network namespaces)
import { parseArgs } from "node:util";
import { startCluster, type Cluster } from "../test/cluster/harness/cluster.ts";
import { makeHosts } from "../test/cluster/harness/hosts.ts";
import type { TestNode } from "../test/cluster/harness/node.ts";
import { openStream, type StreamEnd } from "../test/cluster/harness/stream.ts";
import { median, describeMachine } from "./bench/machine.ts";
import { atRest, deploymentIn, loadModel, pause, stagesByName, whenReady } from "./soak/deployed.ts";
import { FAULTS, type Fault } from "./soak/faults.ts";
import { growthLines, growthOf } from "./soak/growth.ts";
import { pick, seededRandom } from "./soak/random.ts";

const { values } = parseArgs({
  options: {
    times: { type: "string", default: "200" },
    seconds: { type: "string", default: "86400" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    json: { type: "boolean", default: false },
  },
});
const TIMES = Number(values.times);
const SEED = Number(values.seed);
const BODY = { objective: "spread", head: "a" } as const;
/** Faults before what the daemons hold is first looked at: code is loaded, connections and buffers are there. */
const WARM_UP = 9;
const TOKENS_BEFORE_MAX = 150;
const TOKENS = 300;
/** The longest limit is 30 s: a stream that has not ended long after it hangs. */
const HANG_MS = 90_000;

interface Outcome {
  readonly fault: string;
  readonly node: string;
  readonly client: string;
  readonly tokens: number;
  readonly endMs: number;
  readonly readyMs: number;
  readonly loads: number;
  /** What was not as it must be. */
  readonly wrong: readonly string[];
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** One fault in a stream of its own, judged; returns once the model is ready again. */
async function once(cluster: Cluster, fault: Fault, random: () => number, golden: string): Promise<Outcome> {
  const [head, ...workers] = cluster.nodes as [TestNode, ...TestNode[]];
  const node = fault.on === "head" ? head : pick(random, workers);
  const client = pick(
    random,
    cluster.nodes.filter((other) => other !== node || fault.on === "head"),
  );
  const stage = (await stagesByName(cluster)).get(node.host.name);
  const { epoch } = deploymentIn(await head.peek()) ?? { epoch: 0 };
  const stream = await openStream(client, { tokens: TOKENS });
  await stream.came(Math.ceil(random() * TOKENS_BEFORE_MAX));
  const brokenMs = performance.now();
  const undo = fault.inject(node);
  const end = await Promise.race([stream.end, pause(HANG_MS).then(() => null)]);
  undo();
  const endMs = (end?.endedMs ?? performance.now()) - brokenMs;
  const layers = fault.on === "head" ? "" : ` (layers ${stage?.firstLayer}-${stage?.lastLayer})`;
  const where = `on ${node.host.name}${layers}`;
  const wrong = end === null ? ["the stream hung"] : faultsOf(end, fault, where, golden);
  const goneMs = performance.now();
  // What went on must be the same deployment; what broke, the next one.
  const loads = await whenReady(cluster, BODY, fault.codes.length === 0 && wrong.length === 0 ? epoch - 1 : epoch);
  const readyMs = performance.now() - goneMs;
  const now = deploymentIn(await head.peek())?.epoch;
  if (fault.codes.length === 0 && now !== epoch) wrong.push(`a moment's stop cost an epoch: ${epoch}, then ${now}`);
  return {
    fault: fault.name,
    node: node.host.name,
    client: client.host.name,
    tokens: end?.tokens ?? 0,
    endMs,
    readyMs,
    loads,
    wrong,
  };
}

function faultsOf(end: StreamEnd, fault: Fault, where: string, golden: string): string[] {
  const wrong: string[] = [];
  const { error } = end;
  if (!golden.startsWith(end.text)) wrong.push(`other text: ${JSON.stringify(end.text.slice(-80))}`);
  if (end.done && error !== null) wrong.push("both an end mark and an error");
  if (!end.done && error === null) wrong.push("the stream just ended");
  if (end.done && fault.codes.length > 0 && end.text !== golden) wrong.push("an end mark although the answer was cut");
  if (error === null) return wrong;
  if (!fault.codes.includes(error.code)) wrong.push(`${error.code} instead of ${fault.codes.join(" or ") || "an answer"}`);
  if (!error.message.includes(where)) wrong.push(`does not say ${JSON.stringify(where)}`);
  if (wrong.length > 0) wrong.push(error.message);
  return wrong;
}

async function main(): Promise<number> {
  say(`seed ${SEED}`);
  const random = seededRandom(SEED);
  using network = makeHosts(["a", "b", "c", "d"]);
  const faults = FAULTS.filter((fault) => network.isolated || !fault.needsLink);
  await using cluster = await startCluster(network.hosts, "soak");
  const deadline = performance.now() + Number(values.seconds) * 1000;
  await whenReady(cluster, BODY, 0);
  const golden = (await (await openStream(cluster.head, { tokens: TOKENS })).end).text;
  const outcomes: Outcome[] = [];
  let before = (await atRest(cluster)).held;
  for (let time = 1; time <= TIMES && performance.now() < deadline; time += 1) {
    await whenReady(cluster, BODY, 0);
    // A node that was cut off has been planned around: it gets its stage back.
    if ((await stagesByName(cluster)).size < cluster.nodes.length) {
      await loadModel(cluster, BODY);
      await whenReady(cluster, BODY, 0);
    }
    // Each kind in turn at first, so that a short run has them all.
    const fault = time <= faults.length ? (faults[time - 1] as Fault) : pick(random, faults);
    const outcome = await once(cluster, fault, random, golden);
    outcomes.push(outcome);
    say(
      `${time} ${outcome.fault} on ${outcome.node}, asked at ${outcome.client}: ${outcome.tokens} tokens, ended after ` +
        `${(outcome.endMs / 1000).toFixed(1)} s, ready after ${(outcome.readyMs / 1000).toFixed(1)} s${outcome.wrong.map((what) => `\n  WRONG: ${what}`).join("")}`,
    );
    if (time === WARM_UP) before = (await atRest(cluster)).held;
  }
  const { held, orphans } = await atRest(cluster);
  const growth = growthOf(before, held);
  const wrong = outcomes.filter((outcome) => outcome.wrong.length > 0);
  const kinds = faults.map(({ name }) => ({ name, ...figuresOf(outcomes.filter(({ fault }) => fault === name)) }));
  const loadedAgain = outcomes.reduce((sum, { loads }) => sum + loads, 0);
  if (values.json)
    console.log(JSON.stringify({ seed: SEED, times: outcomes.length, wrong, kinds, loadedAgain, orphans, growth }));
  else {
    console.log(
      `Machine: ${describeMachine()}. Seed ${SEED}, ${outcomes.length} faults, ${wrong.length} with something wrong.\n`,
    );
    console.log(
      "| fault | times | stream ended after, s: median, most | ready again after, s: median, most |\n| --- | --- | --- | --- |",
    );
    for (const kind of kinds)
      console.log(`| ${kind.name} | ${kind.times} | ${kind.endSeconds.join(", ")} | ${kind.readySeconds.join(", ")} |`);
    console.log(
      `\nGiven up after too many crashes, and loaded again: ${loadedAgain} times. Processes left behind: ${orphans.length}.\n`,
    );
    console.log(growthLines(growth).join("\n"));
    for (const orphan of orphans) console.log(`orphan: ${orphan}`);
  }
  return wrong.length + orphans.length + growth.filter(({ kept }) => !kept).length === 0 ? 0 : 1;
}

function figuresOf(outcomes: readonly Outcome[]): {
  readonly times: number;
  readonly endSeconds: readonly number[];
  readonly readySeconds: readonly number[];
} {
  const figures = (of: (outcome: Outcome) => number): readonly number[] => {
    const all = outcomes.map(of);
    return all.length === 0 ? [] : [median(all), Math.max(...all)].map((ms) => Number((ms / 1000).toFixed(1)));
  };
  return { times: outcomes.length, endSeconds: figures(({ endMs }) => endMs), readySeconds: figures(({ readyMs }) => readyMs) };
}

process.exitCode = await main();
