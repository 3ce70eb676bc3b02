// Answers without a pause over four workers, none of the layers on the head: counts tokens, gaps, stalls, restarts and wrong answers.
// Usage: node scripts/soak-tokens.ts [--minutes 10] [--seed N] [--log FILE] [--json]   (root: hosts in network namespaces; else loopback)
// Its figures are added to the log every minute, as JSON by the line: a run that is cut short still counts.
import { appendFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startCluster, type Cluster } from "../test/cluster/harness/cluster.ts";
import { makeHosts } from "../test/cluster/harness/hosts.ts";
import { openStream } from "../test/cluster/harness/stream.ts";
import { describeMachine } from "./bench/machine.ts";
import { allAsks, nextRound, type Ask, type Round } from "./soak/asks.ts";
import { atRest, deploymentIn, stagesByName, whenReady } from "./soak/deployed.ts";
import { createGaps } from "./soak/gaps.ts";
import { growthLines, growthOf } from "./soak/growth.ts";
import { holdingLines, holdingsOf, type Holding } from "./soak/holdings.ts";
import { seededRandom } from "./soak/random.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    log: { type: "string", default: join(tmpdir(), `clusterd-soak-${process.pid}.ndjson`) },
    json: { type: "boolean", default: false },
  },
});
const WORKERS = ["w1", "w2", "w3", "w4"] as const;
const LAYERS_EACH = 4;
const SLOTS = 4;
const PINS = WORKERS.map((node, index) => ({ node, firstLayer: index * LAYERS_EACH, lastLayer: (index + 1) * LAYERS_EACH - 1 }));
const BODY = { head: "head", pin: PINS, slots: SLOTS, ctx: 1024 };
/** A gap between two tokens of one answer that a reader would take for a hang. */
const STALL_MS = 2_000;
const NOTE_MS = 60_000;
/** More wrong answers than this are counted, not told. */
const TOLD_MAX = 50;

const seed = Number(values.seed);
const random = seededRandom(seed);
const gaps = createGaps();
const golden = new Map<string, string>();
const counts = { answers: 0, left: 0, tokens: 0, stalls: 0, restarts: 0, falseAlarms: 0, wrong: 0, otherEnds: 0 };
const rounds = new Map<string, number>();
const told: string[] = [];

const say = (line: string): void => void process.stderr.write(`${line}\n`);

function tell(what: string): void {
  if (told.length < TOLD_MAX) told.push(what);
  note(what);
}

const note = (what: string): void => appendFileSync(values.log, `${JSON.stringify({ at: new Date().toISOString(), what })}\n`);

/** One answer, looked at. */
async function answer(cluster: Cluster, ask: Ask, kind: Round["kind"], leavesAfter = Infinity): Promise<void> {
  const client = new AbortController();
  let [lastMs, came] = [0, 0];
  const stream = await openStream(cluster.head, {
    ...ask,
    signal: client.signal,
    onToken(nowMs) {
      counts.tokens += 1;
      came += 1;
      if (lastMs > 0) gaps.add(nowMs - lastMs);
      if (lastMs > 0 && nowMs - lastMs >= STALL_MS) {
        counts.stalls += 1;
        tell(`${kind}: ${Math.round(nowMs - lastMs)} ms without a token, after ${came}`);
      }
      lastMs = nowMs;
      if (came === leavesAfter) client.abort();
    },
  });
  const end = await stream.end;
  const right = golden.get(ask.name);
  const whole = end.done && end.error === null;
  if (right === undefined && whole) golden.set(ask.name, end.text);
  const same = right === undefined ? end.text.length : sameLength(end.text, right);
  const enough = same >= Math.min(ask.sureLetters, (client.signal.aborted ? end.text : (right ?? end.text)).length);
  if (client.signal.aborted) counts.left += 1;
  else counts.answers += 1;
  if (enough && same < end.text.length) {
    counts.otherEnds += 1;
    note(`${kind}: ${ask.name}: another end after ${same} letters, of which ${ask.sureLetters} were taught`);
  }
  if (enough && (whole || client.signal.aborted)) return;
  counts.wrong += 1;
  if (end.error !== null) tell(`${kind}: ${end.error.code}: ${end.error.message}`);
  else if (!end.done && !client.signal.aborted) tell(`${kind}: it just ended after ${end.tokens} tokens`);
  else tell(`${kind}: ${ask.name}: another text after ${same} letters: ${JSON.stringify(end.text.slice(-60))}`);
}

function sameLength(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return length;
}

/** Nothing was done to anybody: whoever is called suspect or lost is so falsely. */
async function lookAround(cluster: Cluster, epoch: number): Promise<number> {
  const state = await cluster.head.peek();
  for (const { name, state: how } of state.nodes.filter((node) => node.state !== "alive")) {
    counts.falseAlarms += 1;
    tell(`${name} is called ${how}`);
  }
  const view = deploymentIn(state);
  if (view?.epoch === epoch && view.state === "ready") return epoch;
  tell(`the deployment is ${view?.state ?? "gone"} in epoch ${view?.epoch ?? "none"}: ${view?.reason ?? ""}`);
  await whenReady(cluster, BODY, 0);
  const now = deploymentIn(await cluster.head.peek())?.epoch ?? 0;
  counts.restarts += Math.max(1, now - epoch);
  counts.falseAlarms += 1;
  return now;
}

async function main(): Promise<number> {
  say(`seed ${seed}; figures by the minute in ${values.log}`);
  using network = makeHosts(["head", ...WORKERS]);
  await using cluster = await startCluster(network.hosts, "soak");
  await whenReady(cluster, BODY, 0);
  const stages = [...(await stagesByName(cluster)).keys()];
  if (stages.join() !== WORKERS.join()) throw new Error(`the layers are on ${stages.join(", ")}`);
  // Each request once, alone: what it must bring ever after.
  for (const ask of allAsks()) await answer(cluster, ask, "a long story");
  const before = (await atRest(cluster)).held;
  await whenReady(cluster, BODY, 0);
  let epoch = deploymentIn(await cluster.head.peek())?.epoch ?? 0;
  for (const ask of allAsks().slice(0, 2)) await answer(cluster, ask, "a long story");

  const beganMs = performance.now();
  const lengthMs = Number(values.minutes) * 60_000;
  const looks: (readonly Holding[])[] = [holdingsOf(cluster)];
  let notedMs = beganMs;
  while (performance.now() < beganMs + lengthMs) {
    const round = nextRound(random, SLOTS);
    rounds.set(round.kind, (rounds.get(round.kind) ?? 0) + 1);
    await Promise.all(round.asks.map((ask, at) => answer(cluster, ask, round.kind, at === 0 ? round.leavesAfter : undefined)));
    if (performance.now() - notedMs < NOTE_MS) continue;
    notedMs = performance.now();
    epoch = await lookAround(cluster, epoch);
    const minutes = Number(((notedMs - beganMs) / 60_000).toFixed(1));
    const figures = { minutes, ...counts, gapMs: gapFigures(), load: loadavg().map(Math.round), holdings: holdingsOf(cluster) };
    appendFileSync(values.log, `${JSON.stringify(figures)}\n`);
    if (looks.length === 1 && notedMs - beganMs >= lengthMs / 2) looks.push(figures.holdings);
    say(`${minutes} min: ${JSON.stringify(counts)}, gaps ${gapFigures().join(", ")} ms`);
  }
  epoch = await lookAround(cluster, epoch);
  const minutes = Number(((performance.now() - beganMs) / 60_000).toFixed(1));
  looks.push(holdingsOf(cluster));
  const { held, orphans } = await atRest(cluster);
  const growth = growthOf(before, held);
  const result = {
    minutes,
    seed,
    ...counts,
    gapMs: gapFigures(),
    rounds: Object.fromEntries(rounds),
    told,
    orphans,
    growth,
    looks,
  };
  appendFileSync(values.log, `${JSON.stringify(result)}\n`);
  if (values.json) console.log(JSON.stringify(result));
  else print(minutes, looks, orphans, growthLines(growth));
  const leaks = growth.filter(({ kept }) => !kept).length;
  return counts.stalls + counts.restarts + counts.falseAlarms + counts.wrong + orphans.length + leaks === 0 ? 0 : 1;
}

/** ms: half of the gaps are not longer, 99 of 100, the longest. */
const gapFigures = (): readonly number[] => [gaps.quantile(0.5), gaps.quantile(0.99), Math.round(gaps.mostMs)];

function print(
  minutes: number,
  looks: readonly (readonly Holding[])[],
  orphans: readonly string[],
  growth: readonly string[],
): void {
  const { answers, left, tokens, stalls, restarts, falseAlarms, wrong, otherEnds } = counts;
  console.log(
    `Machine: ${describeMachine()}. ${WORKERS.length} workers with ${LAYERS_EACH} layers each, ${SLOTS} slots, seed ${seed}.\n`,
  );
  console.log(
    "| minutes | answers | clients gone | tokens | gaps, ms: p50, p99, most | stalls | restarts | false alarms | answers wrong or cut | other ends | processes left |",
  );
  console.log("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
  console.log(
    `| ${[minutes, answers, left, tokens, gapFigures().join(", "), stalls, restarts, falseAlarms, wrong, otherEnds, orphans.length].join(" | ")} |\n`,
  );
  console.log(`Asked: ${[...rounds].map(([kind, times]) => `${kind} ${times} times`).join(", ")}.\n`);
  console.log(`While it answered:\n\n${holdingLines(looks).join("\n")}\n\nWith the model taken off:\n\n${growth.join("\n")}`);
  for (const line of [...told, ...orphans]) console.log(line);
}

process.exitCode = await main();
