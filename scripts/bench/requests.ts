// What crowds, slow connections and clients that go do to two daemons on this machine, one of them the head of the demo model with two slots.
// Usage: node scripts/bench/requests.ts [--requests 1000] [--sockets 500] [--rounds 5] [--only crowds|slowloris|leaving] [--json]
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { busySlots, sendCrowd, type CrowdResult } from "../../test/cluster/harness/crowd.ts";
import { MODEL, startCluster, type Cluster } from "../../test/cluster/harness/cluster.ts";
import type { Host } from "../../test/cluster/harness/hosts.ts";
import type { TestNode } from "../../test/cluster/harness/node.ts";
import { usageOf } from "../../test/cluster/harness/processes.ts";
import { describeMachine, median } from "./machine.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "1000" },
    sockets: { type: "string", default: "500" },
    rounds: { type: "string", default: "5" },
    only: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const REQUESTS = Number(values.requests);
const SOCKETS = Number(values.sockets);
const ROUNDS = Number(values.rounds);
const HONEST = 60;
const DRIP_MS = 10_000;

const JSON_TYPE = { "content-type": "application/json" };
const hosts: readonly Host[] = ["head", "other"].map((name) => ({
  name,
  ownPorts: false,
  wrap: (command: string, args: readonly string[]) => [command, args] as const,
}));

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

const ms = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

function table(title: string, rows: readonly Readonly<Record<string, string | number>>[]): void {
  if (values.json) {
    for (const row of rows) console.log(JSON.stringify({ table: title, ...row }));
    return;
  }
  const names = Object.keys(rows[0] ?? {});
  console.log(`\n## ${title}\n\n| ${names.join(" | ")} |\n|${" --- |".repeat(names.length)}`);
  for (const row of rows) console.log(`| ${names.map((name) => row[name]).join(" | ")} |`);
}

const apiOf = async (node: TestNode): Promise<string> => String((await node.event("ready"))["api"]);

async function queueOf(node: TestNode): Promise<{ readonly active: number; readonly waiting: number }> {
  const { deployments } = await node.peek();
  return deployments.find(({ model }) => model === MODEL)?.queue ?? { active: 0, waiting: 0 };
}

async function until(wanted: () => Promise<boolean>, everyMs = 20): Promise<void> {
  while (!(await wanted())) await new Promise((done) => setTimeout(done, everyMs));
}

async function idle(nodes: readonly TestNode[]): Promise<void> {
  for (const node of nodes) {
    await until(async () => {
      const { active, waiting } = await queueOf(node);
      return active + waiting === 0;
    });
  }
}

async function crowds({ nodes }: Cluster): Promise<void> {
  const send = async (node: TestNode, requests: number): Promise<CrowdResult> =>
    sendCrowd(node.host, { api: await apiOf(node), model: MODEL, requests, tokens: 4, oneInLeaves: 10 });
  await Promise.all(nodes.map((node) => send(node, 40)));
  const before = nodes.map(({ pid }) => usageOf(pid));
  const begunMs = performance.now();
  const results = await Promise.all(nodes.map((node) => send(node, REQUESTS / nodes.length)));
  const seconds = (performance.now() - begunMs) / 1000;
  for (const what of new Set(results.flatMap(({ lost }) => lost))) console.error(`lost: ${what}`);
  await idle(nodes);
  await until(async () => (await busySlots(nodes[0] as TestNode)) === 0);
  // Sockets linger for a moment, and what is free is given back at leisure.
  await new Promise((done) => setTimeout(done, 5_000));
  table(
    `${REQUESTS} requests at once, 2 slots, ${seconds.toFixed(1)} s in all`,
    results.map(({ endings, answeredMs, refusedMs }, at) => {
      const node = nodes[at] as TestNode;
      const [was, is] = [before[at] as ReturnType<typeof usageOf>, usageOf(node.pid)];
      return {
        through: node.host.name,
        answered: endings.answered,
        "refused (429)": endings.refused + endings["refused in its stream"],
        "client gone": endings.gone,
        lost: endings.lost,
        "answered, p50 and p95, ms": `${ms(percentile(answeredMs, 0.5))}, ${ms(percentile(answeredMs, 0.95))}`,
        "429, p50 and p95, ms": `${ms(percentile(refusedMs, 0.5))}, ${ms(percentile(refusedMs, 0.95))}`,
        "descriptors before and after": `${was.descriptors}, ${is.descriptors}`,
        "memory before and after": `${megabytes(was.residentBytes)}, ${megabytes(is.residentBytes)}`,
      };
    }),
  );
}

/** Milliseconds of honest requests one after the other. */
async function honest(api: string): Promise<number[]> {
  const body = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Say 1." }], max_tokens: 2, temperature: 0 });
  const taken: number[] = [];
  for (let at = 0; at < HONEST; at += 1) {
    const begunMs = performance.now();
    const answer = await fetch(`${api}/v1/chat/completions`, { method: "POST", headers: JSON_TYPE, body });
    await answer.text();
    if (answer.status !== 200) throw new Error(`an honest request was answered ${answer.status}`);
    taken.push(performance.now() - begunMs);
  }
  return taken.sort((a, b) => a - b);
}

/** Connections that send a byte of their headers, or of their body, now and then; replaced as they are closed. */
async function slowSockets(api: string, count: number): Promise<{ readonly closed: number } & Disposable> {
  const { port } = new URL(api);
  const sockets = new Set<Socket>();
  let closed = 0;
  let over = false;
  const open = async (at: number): Promise<void> => {
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("error", () => undefined);
    socket.resume();
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      closed += 1;
      if (!over) void open(at);
    });
    await once(socket, "connect");
    const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    socket.write(at % 2 === 0 ? head : `${head}Content-Length: 1000\r\n\r\n{`);
  };
  await Promise.all(Array.from({ length: count }, (_, at) => open(at)));
  const drip = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write("x");
  }, DRIP_MS);
  return {
    get closed() {
      return closed;
    },
    [Symbol.dispose]() {
      over = true;
      clearInterval(drip);
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function slowloris({ head }: Cluster): Promise<void> {
  const api = await apiOf(head);
  await honest(api);
  const rows: { readonly alone: number; readonly among: number }[] = [];
  let closed = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const measure = {
      alone: async () => percentile(await honest(api), 0.95),
      async among() {
        using sockets = await slowSockets(api, SOCKETS);
        const found = percentile(await honest(api), 0.95);
        closed += sockets.closed;
        return found;
      },
    };
    // They take turns in who is first.
    const order = round % 2 === 0 ? (["alone", "among"] as const) : (["among", "alone"] as const);
    const found = { alone: 0, among: 0 };
    for (const way of order) found[way] = await measure[way]();
    rows.push(found);
  }
  table(`${SOCKETS} connections that send a byte every ${DRIP_MS / 1000} s`, [
    {
      "honest requests a round": HONEST,
      rounds: ROUNDS,
      "p95 alone, ms": ms(median(rows.map(({ alone }) => alone))),
      "p95 among them, ms": ms(median(rows.map(({ among }) => among))),
      "ratio within a round": median(rows.map(({ alone, among }) => among / alone)).toFixed(2),
      "slow ones closed meanwhile": closed,
    },
  ]);
}

/** From a client's going to the engine's own word that the slot is free. */
async function leaving({ head, named }: Cluster): Promise<void> {
  const api = await apiOf(named("other"));
  const content = Array.from({ length: 440 }, (_, at) => String(at % 10)).join(" ");
  const long = [{ role: "user", content }];
  const story = [{ role: "user", content: "Tell me a story." }];
  const cases = [
    { where: "in its prompt", messages: long, stream: true, afterMs: 0 },
    { where: "in its prompt, answer at once", messages: long, stream: false, afterMs: 0 },
    { where: "in its answer", messages: story, stream: true, afterMs: 300 },
    { where: "in its answer, answer at once", messages: story, stream: false, afterMs: 300 },
  ];
  const found = new Map<string, number[]>(cases.map(({ where }) => [where, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { where, messages, stream, afterMs } of cases) {
      await idle([head]);
      const body = JSON.stringify({ model: MODEL, messages, stream, logit_bias: { 1279: -100 } });
      const leave = new AbortController();
      const asked = fetch(`${api}/v1/chat/completions`, { method: "POST", headers: JSON_TYPE, body, signal: leave.signal });
      const read = asked.then((answer) => answer.text()).catch(() => undefined);
      await until(async () => (await busySlots(head)) === 1, 1);
      await new Promise((done) => setTimeout(done, afterMs));
      const begunMs = performance.now();
      leave.abort();
      await until(async () => (await busySlots(head)) === 0, 1);
      found.get(where)?.push(performance.now() - begunMs);
      await read;
    }
  }
  table(
    "Clients that go, through the node that is not the head",
    [...found].map(([where, taken]) => ({
      where,
      times: taken.length,
      "slot free after, median, ms": ms(median(taken)),
      "at most, ms": ms(Math.max(...taken)),
    })),
  );
}

if (!values.json) console.log(`Machine: ${describeMachine()}.`);
await using cluster = await startCluster(hosts, "bench-requests");
const loaded = await cluster.head.run("load", "demo", "--head", "head", "--slots", "2", "--without", "other", "--wait");
if (loaded.status !== 0) throw new Error(loaded.stderr);
const all = { crowds, slowloris, leaving };
for (const [name, measure] of Object.entries(all)) {
  if (values.only === undefined || values.only === name) await measure(cluster);
}
