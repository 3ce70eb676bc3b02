import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { promisify } from "node:util";
import type { ClusterState } from "../../packages/wire/src/index.ts";

const MAIN = resolve(import.meta.dirname, "../../packages/cli/src/main.ts");
const START_MS_MAX = 60_000;
const STATE_MS = 100;
const NODES_MS_MAX = 30_000;
const STOP_MS_MAX = 10_000;

export interface DemoNode extends AsyncDisposable {
  readonly name: string;
  /** For example `http://127.0.0.1:40123`. */
  readonly api: string;
  /** A multiaddr at which other nodes reach it. */
  readonly mesh: string;
  /** Runs a command of the CLI against this node and gives what it prints. */
  command(args: readonly string[]): Promise<string>;
  state(): Promise<ClusterState>;
  whenNodes(count: number): Promise<void>;
}

interface StartOptions {
  readonly name: string;
  readonly home: string;
  readonly args: readonly string[];
  readonly signal: AbortSignal;
}

/** Starts a node of its own on any free ports and waits until it is a member of its cluster. */
export async function startNode(options: StartOptions): Promise<DemoNode> {
  const { name, home, signal } = options;
  // Several nodes share this machine's cores: one thread each, or they wait for each other.
  const env = { ...process.env, CLUSTERD_THREADS: "1" };
  const args = [
    "join",
    "--json",
    "--home",
    home,
    "--name",
    name,
    "--api-port",
    "0",
    "--mesh-port",
    "0",
    "--listen",
    "127.0.0.1",
    "--no-mdns",
    ...options.args,
  ];
  const child = spawn(process.execPath, ["--max-semi-space-size=1", MAIN, ...args], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const lines = createInterface({ input: child.stdout });
  const { promise: ready, resolve: isReady, reject } = Promise.withResolvers<{ api: string; mesh: readonly string[] }>();
  lines.on("line", (line) => {
    const event = JSON.parse(line) as { event?: string; api: string; mesh: readonly string[]; error?: { message: string } };
    if (event.event === "ready") isReady(event);
    if (event.error !== undefined) reject(new Error(`${name}: ${event.error.message}`));
  });
  child.once("exit", (code) => reject(new Error(`${name} ended with status ${code} before it was ready.`)));
  const timer = setTimeout(() => reject(new Error(`${name} was not ready in time.`)), START_MS_MAX);
  const onAbort = (): void => reject(new Error("interrupted"));
  signal.addEventListener("abort", onAbort, { once: true });
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGINT");
    const kill = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    await once(child, "exit");
    clearTimeout(kill);
  };
  let found: { api: string; mesh: readonly string[] };
  try {
    found = await ready;
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  const state = async (): Promise<ClusterState> =>
    (await (await fetch(`${found.api}/cluster/v1/state`, { signal })).json()) as ClusterState;
  return {
    name,
    api: found.api,
    mesh: found.mesh[0] ?? "",
    async command(words) {
      const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...words, "--home", home], { signal });
      return stdout;
    },
    state,
    async whenNodes(count) {
      const deadline = performance.now() + NODES_MS_MAX;
      while ((await state()).nodes.filter((node) => node.state === "alive").length < count) {
        if (performance.now() > deadline) throw new Error(`Not all ${count} nodes have found each other.`);
        await new Promise((done) => setTimeout(done, STATE_MS));
      }
    },
    [Symbol.asyncDispose]: stop,
  };
}
