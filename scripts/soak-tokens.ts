// Decodes without a pause over four workers, none of the layers on the head: counts tokens, gaps and stalls.
// Usage: node scripts/soak-tokens.ts [--minutes 10] [--json]      (root: hosts in network namespaces; else loopback)
import { parseArgs } from "node:util";
import { startCluster } from "../test/cluster/harness/cluster.ts";
import { makeHosts } from "../test/cluster/harness/hosts.ts";
import { openStream } from "../test/cluster/harness/stream.ts";
import { describeMachine } from "./bench/machine.ts";
import { atRest, deploymentIn, stagesByName, whenReady } from "./soak/deployed.ts";
import { growthLines, growthOf } from "./soak/growth.ts";

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "10" }, json: { type: "boolean", default: false } },
});
const WORKERS = ["w1", "w2", "w3", "w4"] as const;
const LAYERS_EACH = 4;
const PINS = WORKERS.map((node, index) => ({ node, firstLayer: index * LAYERS_EACH, lastLayer: (index + 1) * LAYERS_EACH - 1 }));
const BODY = { head: "head", pin: PINS };
/** A gap between two tokens of one answer that a reader would take for a hang. */
const STALL_MS = 2_000;
const SAY_MS = 60_000;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(): Promise<number> {
  using network = makeHosts(["head", ...WORKERS]);
  await using cluster = await startCluster(network.hosts, "soak");
  await whenReady(cluster, BODY, 0);
  const stages = [...(await stagesByName(cluster)).keys()];
  if (stages.join() !== WORKERS.join()) throw new Error(`the layers are on ${stages.join(", ")}`);
  const golden = (await (await openStream(cluster.head)).end).text;
  const before = (await atRest(cluster)).held;
  await whenReady(cluster, BODY, 0);
  const epoch = deploymentIn(await cluster.head.peek())?.epoch;

  const beganMs = performance.now();
  const endMs = beganMs + Number(values.minutes) * 60_000;
  let [answers, tokens, stalls, longestGapMs, decodeMs, saidMs] = [0, 0, 0, 0, 0, beganMs];
  const wrong: string[] = [];
  while (performance.now() < endMs) {
    let lastMs = 0;
    const stream = await openStream(cluster.head, {
      onToken(nowMs) {
        tokens += 1;
        if (lastMs > 0) {
          const gapMs = nowMs - lastMs;
          decodeMs += gapMs;
          longestGapMs = Math.max(longestGapMs, gapMs);
          if (gapMs >= STALL_MS) stalls += 1;
        }
        lastMs = nowMs;
      },
    });
    const end = await stream.end;
    answers += 1;
    if (end.error !== null || !end.done) wrong.push(`answer ${answers}: ${end.error?.message ?? "it just ended"}`);
    else if (end.text !== golden) wrong.push(`answer ${answers}: another text`);
    if (wrong.length > 0 && deploymentIn(await cluster.head.peek())?.state !== "ready") await whenReady(cluster, BODY, 0);
    if (performance.now() - saidMs < SAY_MS) continue;
    saidMs = performance.now();
    say(
      `${Math.round((saidMs - beganMs) / 1000)} s: ${tokens} tokens, longest gap ${Math.round(longestGapMs)} ms, ${wrong.length} wrong`,
    );
  }
  const minutes = Number(((performance.now() - beganMs) / 60_000).toFixed(1));
  const epochs = (deploymentIn(await cluster.head.peek())?.epoch ?? 0) - (epoch ?? 0);
  const { held, orphans } = await atRest(cluster);
  const growth = growthOf(before, held);
  const result = {
    minutes,
    answers,
    tokens,
    tokensPerSecond: Number(((tokens - answers) / (decodeMs / 1000)).toFixed(1)),
    longestGapMs: Math.round(longestGapMs),
    stalls,
    restarts: epochs,
    wrong,
    orphans,
    growth,
  };
  if (values.json) console.log(JSON.stringify(result));
  else {
    console.log(
      `Machine: ${describeMachine()}. ${WORKERS.length} workers with ${LAYERS_EACH} layers each, one thread per process.\n`,
    );
    console.log("| minutes | answers | tokens | tokens/s | longest gap, ms | stalls | restarts | answers wrong or cut |");
    console.log("| --- | --- | --- | --- | --- | --- | --- | --- |");
    const { tokensPerSecond } = result;
    console.log(
      `| ${[minutes, answers, tokens, tokensPerSecond, result.longestGapMs, stalls, epochs, wrong.length].join(" | ")} |\n`,
    );
    console.log(`Processes left behind: ${orphans.length}.\n\n${growthLines(growth).join("\n")}`);
    for (const line of [...wrong, ...orphans]) console.log(line);
  }
  const leaks = growth.filter(({ kept }) => !kept).length;
  return stalls + epochs + wrong.length + orphans.length + leaks === 0 ? 0 : 1;
}

process.exitCode = await main();
