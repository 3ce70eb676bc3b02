// What a model costs the links and disks of a cluster of four where it lies on one host only, or on none but a hub: that host's cable is
// limited, the model spread over all four. Exact bytes and packets of all cables by what they were for, what each host's disk gives for
// its layers, how much of the cable was used, and the answer beside a single process's.
// Usage: node scripts/bench/shards.ts --model FILE.gguf [--rate 100mbit,400mbit,1gbit] [--from-hub] [--json]      (root only)
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { makeHosts, type Host } from "../../test/cluster/harness/hosts.ts";
import { newHome, startNode, type TestNode } from "../../test/cluster/harness/node.ts";
import { HEADER_BYTES, readCable, watchCurve, watchFlows, type CurveShape, type FlowCount, type FlowKind } from "./cables.ts";
import { describeMachine } from "./machine.ts";
import { processCpuMs } from "./process-cpu.ts";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    rate: { type: "string", default: "100mbit,400mbit,1gbit" },
    "from-hub": { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
if (values.model === undefined) throw new Error("--model FILE.gguf is missing");
const MODEL = values.model;
const FROM_HUB = values["from-hub"];
const MESH_PORT = 2574;
const HUB_PORT = 8765;
const PROMPT = { messages: [{ role: "user", content: "Tell me of the sea." }], temperature: 0, max_tokens: 24, seed: 1 };
const EVENT_LOOK_MS = 10;
/** Cables that carry less than this between two looks, for so long, carry heartbeats only. */
const QUIET_BYTES = 100_000;
const QUIET_LOOK_MS = 250;
const QUIET_MS = 6_000;
const QUIET_MS_MAX = 60_000;
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

interface Result {
  readonly rate: string;
  readonly modelBytes: number;
  /** Of the stages that do not run where the model is. */
  readonly neededBytes: number;
  /** Of all cables' interfaces, which count a packet that is not cut yet as one. */
  readonly interfaceBytes: number;
  /** By the connections' own books: payload, and a header for each packet of 1,500 bytes. */
  readonly cableBytes: number;
  readonly phases: Readonly<Record<"fetching" | "loading", Readonly<Partial<Record<FlowKind, FlowCount>>>>>;
  readonly connections: number;
  /** From the command, and from the state `fetching`, to the state `loading`. */
  readonly commandSeconds: number;
  readonly fetchSeconds: number;
  readonly curve: CurveShape;
  readonly hubBytes: number | null;
  /** Milliseconds of processor time for each of its megabytes, while fetching. */
  readonly cpu: readonly { readonly host: string; readonly msPerMegabyte: number }[];
  readonly sameText: boolean;
  readonly disks: readonly { readonly host: string; readonly weightBytes: number; readonly diskBytes: number }[];
}

const results: Result[] = [];
let singleText: string | null = null;
for (const rate of values.rate.split(",")) results.push(await measure(rate));
process.stdout.write(values.json ? `${JSON.stringify(results)}\n` : report(results));

async function measure(rate: string): Promise<Result> {
  await using stack = new AsyncDisposableStack();
  const network = stack.use(makeHosts(["holder", "a", "b", "c", ...(FROM_HUB ? ["hub"] : [])]));
  if (!network.isolated) throw new Error("network namespaces are needed: run it as root");
  const [holderHost, ...rest] = network.hosts as [Host, ...Host[]];
  const others = rest.slice(0, 3);
  // Whose cable is limited: the hub's, or that of the host that has the model.
  const source = FROM_HUB ? (rest[3] as Host) : holderHost;
  const hub = FROM_HUB ? await startHub(source, stack) : null;
  const env = hub === null ? {} : { HF_ENDPOINT: hub.endpoint };
  const holder = stack.use(await startNode(holderHost, { args: ["--cluster", "shards"], env }));
  const nodes = [holder];
  await holder.event("ready");
  const token = (await holder.run("token")).stdout.trim();
  for (const host of others) {
    const home = await newHome(host.name);
    mkdirSync(home, { recursive: true });
    nodes.push(stack.use(await startNode(host, { home, args: ["--token", token], env })));
  }
  await Promise.all(nodes.slice(1).map((node) => node.event("admitted")));
  await holder.until((state) => state.nodes.filter((node) => node.state === "alive").length === 4, "a cluster of four");

  // Before, where the model is on a host anyway; with a hub afterwards, as no host may have it.
  if (!FROM_HUB) singleText ??= await single(holder);
  source.link?.limit(rate);
  const rateBytes = bytesPerSecond(rate);
  const flows = stack.use(watchFlows(network.hosts, { mesh: MESH_PORT, hub: HUB_PORT }));
  await quiet(network.hosts);
  flows.take();
  const crossedBefore = crossed(network.hosts);
  const since = holder.events.length;
  const startMs = performance.now();
  const curve = stack.use(watchCurve(source, "sentBytes"));
  const cpuBefore = await Promise.all(nodes.map(({ pid }) => processCpuMs(pid)));
  const loading = loaded(holder, FROM_HUB ? "hf:o/r" : MODEL, ["--objective", "spread", "--head", "holder"]);
  // What fails is thrown below.
  loading.catch(() => undefined);
  const fetchingMs = await stateReached(holder, since, "fetching", loading);
  const loadingMs = await stateReached(holder, since, "loading", loading);
  const cpuAfter = await Promise.all(nodes.map(({ pid }) => processCpuMs(pid)));
  const connections = flows.connections;
  const fetching = flows.take();
  const shape = curve.shape(rateBytes);
  const spread = await loading;
  // What the daemons have said of it: a fetch that failed is no measurement.
  for (const { host, events } of nodes)
    for (const event of events)
      if (event.event === "log" && /fetch|layers|weights/u.test(String(event["message"])))
        say(`${host.name}: ${String(event["message"])}`);
  const interfaceBytes = crossed(network.hosts) - crossedBefore;
  await new Promise((done) => setTimeout(done, 500));
  const phases = { fetching: Object.fromEntries(fetching), loading: Object.fromEntries(flows.take()) } as Result["phases"];
  const all = Object.values(phases).flatMap((phase) => Object.values(phase));

  const { stages } = (await holder.state()).deployments[0] ?? { stages: [] };
  const needing = FROM_HUB ? nodes : nodes.slice(1);
  const ids = new Map((await holder.state()).nodes.map(({ id, name }) => [name, id]));
  const weightOf = (node: TestNode): number => stages.find((stage) => stage.node === ids.get(node.host.name))?.weightBytes ?? 0;
  const disks = await Promise.all(
    needing.map(async (node) => ({ host: node.host.name, weightBytes: weightOf(node), diskBytes: await diskBytesOf(node) })),
  );
  if (FROM_HUB && singleText === null) {
    await holder.run("unload", spread.model);
    singleText = await single(holder);
  }
  const modelBytes = (await stat(MODEL)).size;
  const neededBytes = FROM_HUB ? modelBytes : disks.reduce((sum, { weightBytes }) => sum + weightBytes, 0);
  return {
    rate,
    modelBytes,
    neededBytes,
    interfaceBytes,
    cableBytes: all.reduce((sum, { bytes, packets }) => sum + bytes + packets * HEADER_BYTES, 0),
    phases,
    connections,
    commandSeconds: (loadingMs - startMs) / 1000,
    fetchSeconds: (loadingMs - fetchingMs) / 1000,
    curve: shape,
    hubBytes: (await hub?.sentBytes()) ?? null,
    cpu: nodes.map((node, index) => ({
      host: node.host.name,
      msPerMegabyte:
        ((cpuAfter[index] ?? 0) - (cpuBefore[index] ?? 0)) / ((FROM_HUB || node !== holder ? weightOf(node) : neededBytes) / 1e6),
    })),
    sameText: spread.text === singleText,
    disks,
  };
}

function bytesPerSecond(rate: string): number {
  const [, count = "", unit = ""] = /^(\d+)(mbit|gbit)$/u.exec(rate) ?? [];
  if (unit === "") throw new Error(`a rate is like 400mbit or 1gbit, not ${rate}`);
  return (Number(count) * (unit === "gbit" ? 1e9 : 1e6)) / 8;
}

/** Bytes over all cables so far: each leaves one host and comes to another. */
function crossed(hosts: readonly Host[]): number {
  return hosts.map(readCable).reduce((sum, { sentBytes, receivedBytes }) => sum + sentBytes + receivedBytes, 0) / 2;
}

/** Waits until the members have nothing to tell or to measure any more. */
async function quiet(hosts: readonly Host[]): Promise<void> {
  let [before, quietSince, began] = [crossed(hosts), performance.now(), performance.now()];
  while (performance.now() - quietSince < QUIET_MS && performance.now() - began < QUIET_MS_MAX) {
    await new Promise((done) => setTimeout(done, QUIET_LOOK_MS));
    const now = crossed(hosts);
    if (now - before > QUIET_BYTES) quietSince = performance.now();
    before = now;
  }
}

/** When the holder's daemon has told of a deployment's state. Throws where the load has ended without. */
async function stateReached(node: TestNode, since: number, state: string, load: Promise<unknown>): Promise<number> {
  let ended = false;
  const end = load.finally(() => (ended = true));
  end.catch(() => undefined);
  for (;;) {
    const told = node.events.slice(since).flatMap((event) => (event.event === "deployment" ? [event["state"]] : []));
    // A deployment is shown as loading before it is known what it lacks.
    const from = told.indexOf("fetching");
    if (from >= 0 && told.indexOf(state, from) >= 0) return performance.now();
    if (ended) {
      await load;
      throw new Error(`the deployment was never ${state}`);
    }
    await new Promise((done) => setTimeout(done, EVENT_LOOK_MS));
  }
}

async function diskBytesOf(node: TestNode): Promise<number> {
  const folder = join(node.home, "models", ".shards");
  const [content = ""] = await readdir(folder).catch(() => []);
  const files = (await readdir(join(folder, content)).catch(() => [])).filter((name) => name.endsWith(".gguf"));
  let bytes = 0;
  for (const name of files) bytes += (await stat(join(folder, content, name))).blocks * 512;
  return bytes;
}

async function layersOf(node: TestNode): Promise<number> {
  const ran = await node.run("plan", MODEL, "--json");
  if (ran.status !== 0) throw new Error(ran.stderr);
  return (JSON.parse(ran.stdout) as { model: { layerCount: number } }).model.layerCount;
}

/** What one process answers that has all of the model. */
async function single(node: TestNode): Promise<string> {
  const { model, text } = await loaded(node, MODEL, ["--head", "holder", "--pin", `holder=0-${(await layersOf(node)) - 1}`]);
  await node.run("unload", model);
  return text;
}

async function loaded(node: TestNode, what: string, flags: readonly string[]): Promise<{ model: string; text: string }> {
  say(`loading ${what} ${flags.join(" ")}`);
  const ran = await node.run("load", what, "--ctx", "512", ...flags, "--wait", "--json");
  if (ran.status !== 0) throw new Error(ran.stderr);
  const { model } = JSON.parse(ran.stdout) as { model: string };
  const answer = JSON.parse(await node.post("/v1/chat/completions", { model, ...PROMPT })) as {
    choices: readonly { message: { content: string } }[];
  };
  return { model, text: answer.choices[0]?.message.content ?? "" };
}

interface BenchHub {
  readonly endpoint: string;
  /** Bytes of the file that went out. */
  sentBytes(): Promise<number>;
}

async function startHub(host: Host, stack: AsyncDisposableStack): Promise<BenchHub> {
  const [, shown = ""] = /inet (\d+\.\d+\.\d+\.\d+)/u.exec(await ranOn(host, "ip", "-4", "addr", "show", "eth0")) ?? [];
  const script = join(import.meta.dirname, "hub-process.ts");
  const [command, words] = host.wrap(process.execPath, [script, MODEL, shown, String(HUB_PORT)]);
  const child = spawn(command, [...words], { stdio: ["pipe", "pipe", "inherit"] });
  stack.defer(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout });
  await once(lines, "line");
  return {
    endpoint: `http://${shown}:${HUB_PORT}`,
    async sentBytes() {
      const line = once(lines, "line");
      child.stdin.write("\n");
      return Number((await line)[0]);
    },
  };
}

async function ranOn(host: Host, ...words: readonly [string, ...string[]]): Promise<string> {
  const [command, args] = host.wrap(words[0], words.slice(1));
  const child = spawn(command, [...args], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  for await (const chunk of child.stdout) text += String(chunk);
  return text;
}

function report(all: readonly Result[]): string {
  const [first] = all;
  if (first === undefined) return "";
  const row = (name: string, cell: (result: Result) => string): string => `| ${name} | ${all.map(cell).join(" | ")} |`;
  const kinds = (phase: keyof Result["phases"]): readonly string[] =>
    (["data plane, answers", "data plane, asks", "hub", "mesh", "other"] as const)
      .filter((kind) => all.some((result) => result.phases[phase][kind] !== undefined))
      .map((kind) =>
        row(`${phase}: ${kind}`, ({ phases, neededBytes }) => {
          const { bytes = 0, packets = 0, resentBytes = 0 } = phases[phase][kind] ?? {};
          const resent = resentBytes === 0 ? "" : `, ${megabytes(resentBytes)} of it sent twice`;
          return `${megabytes(bytes)} MB (${percent(bytes / neededBytes)}) in ${packets} packets${resent}`;
        }),
      );
  const hosts = first.disks.map(({ host }) => host);
  return `${[
    describeMachine(),
    "",
    FROM_HUB
      ? `${basename(MODEL)}, ${megabytes(first.modelBytes)} MB, on a hub alone, whose cable is limited; spread over four hosts.`
      : `${basename(MODEL)}, ${megabytes(first.modelBytes)} MB, on one of four hosts, whose cable is limited; spread over all.`,
    "",
    `| cable | ${all.map(({ rate }) => rate).join(" | ")} |`,
    `| --- | ${all.map(() => "---").join(" | ")} |`,
    row(FROM_HUB ? "the model" : "what the other three need", ({ neededBytes }) => `${megabytes(neededBytes)} MB`),
    ...(FROM_HUB ? [row("file bytes that the hub sent", ({ hubBytes, modelBytes }) => ratio(hubBytes ?? 0, modelBytes))] : []),
    row("all cables until the first token, by their interfaces", ({ interfaceBytes, neededBytes }) =>
      ratio(interfaceBytes, neededBytes),
    ),
    row("the same in packets of 1,500 bytes, by the connections' books", ({ cableBytes, neededBytes }) =>
      ratio(cableBytes, neededBytes),
    ),
    row("of that without Ethernet, IP and TCP", ({ phases, neededBytes }) =>
      ratio(
        Object.values(phases).reduce((sum, phase) => sum + payloadOf(phase), 0),
        neededBytes,
      ),
    ),
    ...kinds("fetching"),
    ...kinds("loading"),
    row("connections that carried it", ({ connections }) => String(connections)),
    row("from `fetching` to `loading`", ({ fetchSeconds }) => `${fetchSeconds.toFixed(1)} s`),
    row("of the cable, counting only what is needed", ({ neededBytes, fetchSeconds, rate }) =>
      percent(neededBytes / fetchSeconds / bytesPerSecond(rate)),
    ),
    row("the same from the command on", ({ neededBytes, commandSeconds, rate }) =>
      percent(neededBytes / commandSeconds / bytesPerSecond(rate)),
    ),
    row("of the cable while it was busy, headers included", ({ curve }) => percent(curve.share)),
    row(
      "busy after, for, of it below half",
      ({ curve: { untilBusy, busySeconds, slackSeconds } }) =>
        `${untilBusy.toFixed(1)} s, ${busySeconds.toFixed(1)} s, ${slackSeconds.toFixed(1)} s`,
    ),
    row("processor time for a megabyte, ms", ({ cpu }) =>
      cpu.map(({ host, msPerMegabyte }) => `${host} ${msPerMegabyte.toFixed(1)}`).join(", "),
    ),
    row("the answer is a single process's", ({ sameText }) => (sameText ? "yes" : "NO")),
    "",
    "| host | its layers, MB | on its disk, MB (blocks that `du` counts) |",
    "| --- | --- | --- |",
    ...hosts.map((host) => {
      const of = all.map(({ disks }) => disks.find((disk) => disk.host === host));
      const shown = (bytes: readonly number[]): string => [...new Set(bytes.map(megabytes))].join(" / ");
      return `| ${host} | ${shown(of.map((disk) => disk?.weightBytes ?? 0))} | ${shown(of.map((disk) => disk?.diskBytes ?? 0))} |`;
    }),
  ].join("\n")}\n`;
}

function ratio(bytes: number, of: number): string {
  return `${megabytes(bytes)} MB: ${(bytes / of).toFixed(3)} ×`;
}

function payloadOf(phase: Readonly<Partial<Record<FlowKind, FlowCount>>>): number {
  return Object.values(phase).reduce((sum, { bytes }) => sum + bytes, 0);
}
