// What a model costs the links and disks when only one host has it: four hosts, the holder's cable limited, the model spread over them.
// Bytes over all cables until the first token, what each host's disk gives for it, and the answer beside a single process's.
// Usage: node scripts/bench/shards.ts --model FILE.gguf [--rate 200mbit] [--json]      (root only)
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Host } from "../../test/cluster/harness/hosts.ts";
import { makeHosts } from "../../test/cluster/harness/hosts.ts";
import { newHome, startNode, type TestNode } from "../../test/cluster/harness/node.ts";
import { describeMachine } from "./machine.ts";

const { values } = parseArgs({
  options: { model: { type: "string" }, rate: { type: "string", default: "200mbit" }, json: { type: "boolean", default: false } },
});
if (values.model === undefined) throw new Error("--model FILE.gguf is missing");
const MODEL = values.model;
const PROMPT = { messages: [{ role: "user", content: "Tell me of the sea." }], temperature: 0, max_tokens: 24, seed: 1 };
/** Before the payload of each packet: Ethernet 14, IP 20, TCP with timestamps 32. */
const HEADER_BYTES = 66;
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

const network = makeHosts(["holder", "a", "b", "c"]);
if (!network.isolated) throw new Error("network namespaces are needed: run it as root");
const nodes: TestNode[] = [];
try {
  const [holderHost, ...others] = network.hosts as [Host, ...Host[]];
  const holder = await startNode(holderHost, { args: ["--cluster", "shards"] });
  nodes.push(holder);
  await holder.event("ready");
  const token = (await holder.run("token")).stdout.trim();
  for (const host of others) {
    const home = await newHome(host.name);
    mkdirSync(home, { recursive: true });
    nodes.push(await startNode(host, { home, args: ["--token", token] }));
  }
  await Promise.all(nodes.slice(1).map((node) => node.event("admitted")));
  await holder.until((state) => state.nodes.filter((node) => node.state === "alive").length === 4, "a cluster of four");

  const single = await loaded(["--head", "holder", "--pin", "holder=0-" + String((await layers()) - 1)]);
  await holder.run("unload", single.model);
  holderHost.link?.limit(values.rate);

  const before = crossed();
  const startedMs = performance.now();
  let fetchedMs: number | null = null;
  const watching = setInterval(() => {
    void holder.peek().then(({ deployments }) => {
      if (fetchedMs === null && deployments.some(({ state }) => state === "loading")) fetchedMs = performance.now();
    });
  }, 500);
  const spread = await loaded(["--objective", "spread", "--head", "holder"]);
  clearInterval(watching);
  const after = crossed();
  const wire = { bytes: after.bytes - before.bytes, packets: after.packets - before.packets };
  const { stages } = (await holder.state()).deployments[0] ?? { stages: [] };
  const [, ...remote] = stages;
  const neededBytes = remote.reduce((total, { weightBytes }) => total + weightBytes, 0);
  const seconds = ((fetchedMs ?? performance.now()) - startedMs) / 1000;
  const rateBytes = (Number(values.rate.replace(/mbit$/, "")) * 1e6) / 8;

  const disks: { host: string; weightBytes: number; diskBytes: number }[] = [];
  for (const node of nodes.slice(1)) {
    const folder = join(node.home, "models", ".shards");
    const [content = ""] = await readdir(folder).catch(() => []);
    const files = (await readdir(join(folder, content)).catch(() => [])).filter((name) => name.endsWith(".gguf"));
    let diskBytes = 0;
    for (const name of files) diskBytes += (await stat(join(folder, content, name))).blocks * 512;
    const id = (await holder.state()).nodes.find(({ name }) => name === node.host.name)?.id;
    disks.push({ host: node.host.name, weightBytes: stages.find((stage) => stage.node === id)?.weightBytes ?? 0, diskBytes });
  }
  const result = {
    modelBytes: (await stat(MODEL)).size,
    neededBytes,
    wireBytes: wire.bytes,
    wireRatio: wire.bytes / neededBytes,
    payloadRatio: (wire.bytes - HEADER_BYTES * wire.packets) / neededBytes,
    fetchSeconds: seconds,
    linkShare: neededBytes / seconds / rateBytes,
    sameText: single.text === spread.text,
    disks,
  };
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else {
    const lines = [
      describeMachine(),
      "",
      `Model of ${megabytes(result.modelBytes)} MB on one of four hosts, its cable at ${values.rate}; spread over all.`,
      "",
      "| | |",
      "| --- | --- |",
      `| the other three need | ${megabytes(neededBytes)} MB |`,
      `| bytes over all cables until the first token | ${megabytes(wire.bytes)} MB: ${result.wireRatio.toFixed(3)} × what is needed |`,
      `| less ${HEADER_BYTES} bytes of Ethernet, IP and TCP for each of ${wire.packets} packets, acknowledgements among them | ${result.payloadRatio.toFixed(3)} × |`,
      `| fetched in | ${seconds.toFixed(1)} s: ${(result.linkShare * 100).toFixed(0)} % of the holder's cable |`,
      `| the answer is a single process's | ${result.sameText ? "yes" : "NO"} |`,
      "",
      "| host | its layers, MB | on its disk, MB (blocks that `du` counts) |",
      "| --- | --- | --- |",
      ...disks.map(({ host, weightBytes, diskBytes }) => `| ${host} | ${megabytes(weightBytes)} | ${megabytes(diskBytes)} |`),
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
  }

  /** What has crossed all cables so far: each byte and packet leaves one host and comes to another. */
  function crossed(): { readonly bytes: number; readonly packets: number } {
    const counts = network.hosts.map((host) => {
      const [command, args] = host.wrap("ip", ["-s", "-j", "link", "show", "eth0"]);
      const [shown] = JSON.parse(execFileSync(command, [...args], { encoding: "utf8" })) as readonly {
        stats64: Record<"rx" | "tx", { bytes: number; packets: number }>;
      }[];
      return shown?.stats64;
    });
    const sum = (what: "bytes" | "packets"): number =>
      counts.reduce((total, stats) => total + (stats === undefined ? 0 : stats.rx[what] + stats.tx[what]), 0) / 2;
    return { bytes: sum("bytes"), packets: sum("packets") };
  }

  async function layers(): Promise<number> {
    const ran = await holder.run("plan", MODEL, "--json");
    if (ran.status !== 0) throw new Error(ran.stderr);
    return (JSON.parse(ran.stdout) as { model: { layerCount: number } }).model.layerCount;
  }

  async function loaded(flags: readonly string[]): Promise<{ model: string; text: string }> {
    say(`loading ${flags.join(" ")}`);
    const ran = await holder.run("load", MODEL, "--ctx", "512", ...flags, "--wait", "--json");
    if (ran.status !== 0) throw new Error(ran.stderr);
    const { model } = JSON.parse(ran.stdout) as { model: string };
    const answer = JSON.parse(await holder.post("/v1/chat/completions", { model, ...PROMPT })) as {
      choices: readonly { message: { content: string } }[];
    };
    return { model, text: answer.choices[0]?.message.content ?? "" };
  }
} finally {
  await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
  network[Symbol.dispose]();
}
