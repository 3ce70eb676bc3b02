// Three nodes on this machine, the demo model over all of them, one question: npm run demo [-- --exit]
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { askModel, type Chat } from "./demo/ask-model.ts";
import { startNode, type DemoNode } from "./demo/demo-node.ts";
import { layersText } from "./demo/layers-text.ts";

const QUESTION = "What is the capital of France?";
const MODEL = "demo";
const NAMES = ["demo-1", "demo-2", "demo-3"] as const;

const leave = process.argv.includes("--exit");
const unknown = process.argv.slice(2).find((word) => word !== "--exit");
if (unknown !== undefined) {
  process.stderr.write(`error: unknown argument ${unknown}\nnext:  npm run demo [-- --exit]\n`);
  process.exit(2);
}

const abort = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => abort.abort(name));
const { signal } = abort;

const say = (line: string): void => void process.stderr.write(`${line}\n`);
const folder = await mkdtemp(join(tmpdir(), "clusterd-demo-"));
const nodes: DemoNode[] = [];
let status = 0;
try {
  say(`Starting ${NAMES.length} nodes on this machine …`);
  const [first, ...others] = NAMES;
  const founder = await startNode({ name: first, home: join(folder, first), args: ["--cluster", "demo"], signal });
  nodes.push(founder);
  const token = await founder.command(["token"]);
  const joining = others.map((name) =>
    startNode({ name, home: join(folder, name), args: ["--token", token.trim(), "--peer", founder.mesh], signal }),
  );
  nodes.push(...(await Promise.all(joining)));
  for (const node of nodes) process.stdout.write(`${node.name}  ${node.api}\n`);
  await founder.whenNodes(NAMES.length);

  say("Deploying the demo model over all of them …");
  await founder.command(["load", MODEL, "--objective", "spread", "--wait"]);
  const state = await founder.state();
  process.stdout.write(`\n${layersText(state).join("\n")}\n\n`);

  const chat: Chat = { api: (nodes.at(-1) ?? founder).api, model: state.deployments[0]?.model ?? MODEL, signal };
  process.stdout.write(
    `> ${QUESTION}   (asked at ${nodes.at(-1)?.name}, which is ${state.deployments[0]?.head === state.self ? "not " : ""}the head)\n`,
  );
  await askModel(chat, QUESTION, (text) => process.stdout.write(text));
  process.stdout.write("\n");
  if (!leave) {
    say(`\nThe dashboard is at ${founder.api}/ — Ctrl-C ends the demo.`);
    if (!signal.aborted) await once(signal, "abort");
  }
} catch (error) {
  if (!signal.aborted) say(`error: ${error instanceof Error ? error.message : String(error)}`);
  status = signal.aborted ? 130 : 1;
} finally {
  await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
  await rm(folder, { recursive: true, force: true });
}
process.exit(signal.aborted ? 130 : status);
