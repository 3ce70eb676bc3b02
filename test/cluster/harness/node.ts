import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { ClusterState } from "../../../packages/wire/src/index.ts";
import type { Host } from "./hosts.ts";

const MAIN = resolve(import.meta.dirname, "../../../packages/cli/src/main.ts");
const EVENT_MS_MAX = 150_000;
const POLL_MS = 100;
const OUTPUT_BYTES_MAX: number = 16 * 1024 * 1024;

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

type Event = Readonly<Record<string, unknown>> & { readonly event?: string };

/** A daemon on a host, driven as a person would: by the command line and by HTTP. */
export interface TestNode extends AsyncDisposable {
  readonly host: Host;
  readonly home: string;
  readonly pid: number;
  readonly events: readonly Event[];
  /** The first event of a kind, past or to come. */
  event(kind: string): Promise<Event>;
  run(...args: string[]): Promise<Ran>;
  state(): Promise<ClusterState>;
  /** Polls the state until it is as wanted. */
  until(wanted: (state: ClusterState) => boolean, what: string): Promise<ClusterState>;
  /** One POST to its API from its own host, with any of curl's own words besides; the body as text. */
  post(path: string, body: unknown, ...curlWords: readonly string[]): Promise<string>;
  /** The state by HTTP: a command's start costs half a second of a core, which counts where there are many. */
  peek(): Promise<ClusterState>;
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Runs the CLI on a host. */
export function cli(host: Host, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const [command, words] = host.wrap(process.execPath, [MAIN, ...args]);
  return new Promise((done) => {
    execFile(command, [...words], { env: { ...process.env, ...env }, maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout, stderr) =>
      done({ status: error === null ? 0 : typeof error.code === "number" ? error.code : 1, stdout, stderr }),
    );
  });
}

export async function newHome(name: string): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), "clusterd-test-")), name);
}

/** Starts a daemon; it is up when its API answers, a member or not. */
export async function startNode(
  host: Host,
  options: { readonly home?: string; readonly args?: readonly string[]; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<TestNode> {
  const home = options.home ?? (await newHome(host.name));
  const ports = host.ownPorts ? [] : ["--api-port", "0", "--mesh-port", "0"];
  const args = ["join", "--json", "--home", home, "--name", host.name, ...ports, ...(options.args ?? [])];
  const [command, words] = host.wrap(process.execPath, [MAIN, ...args]);
  // Hosts share this machine's cores: one thread each.
  const child = spawn(command, [...words], {
    env: { ...process.env, CLUSTERD_THREADS: "1", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const events: Event[] = [];
  let wake = Promise.withResolvers<void>();
  let ended = false;
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  createInterface({ input: child.stdout }).on("line", (line) => {
    events.push(JSON.parse(line) as Event);
    wake.resolve();
    wake = Promise.withResolvers();
  });
  child.once("exit", () => {
    ended = true;
    wake.resolve();
  });
  const run = (...words: string[]): Promise<Ran> => cli(host, [...words, "--home", home]);
  const state = async (): Promise<ClusterState> => {
    const ran = await run("status", "--json");
    if (ran.status !== 0) throw new Error(`status on ${host.name}: ${ran.stderr}`);
    return JSON.parse(ran.stdout) as ClusterState;
  };
  const curl = async (path: string, ...args: readonly string[]): Promise<string> => {
    const api = String((await node.event("ready"))["api"]);
    const [command, words] = host.wrap("curl", ["-s", ...args, `${api}${path}`]);
    return new Promise((done) => execFile(command, [...words], { maxBuffer: OUTPUT_BYTES_MAX }, (_, stdout) => done(stdout)));
  };
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await once(child, "exit");
    }
    return child.exitCode;
  };
  const node: TestNode = {
    host,
    home,
    pid: child.pid ?? 0,
    events,
    async event(kind) {
      const deadline = performance.now() + EVENT_MS_MAX;
      for (;;) {
        const found = events.find((event) => event.event === kind);
        if (found !== undefined) return found;
        if (ended || performance.now() > deadline)
          throw new Error(`${host.name} told no "${kind}": ${JSON.stringify(events.slice(-5))} ${stderr}`);
        await Promise.race([wake.promise, new Promise((done) => setTimeout(done, 1000))]);
      }
    },
    run,
    state,
    async until(wanted, what) {
      const deadline = performance.now() + EVENT_MS_MAX;
      for (;;) {
        // Right after the start the API may not be up yet.
        const now = await state().catch((error: unknown) => {
          if (ended || performance.now() > deadline) throw error;
          return null;
        });
        if (now !== null && wanted(now)) return now;
        if (now !== null && performance.now() > deadline)
          throw new Error(
            `${host.name}: not ${what}: ${JSON.stringify(now.deployments)} ${now.nodes.map((each) => `${each.name} ${each.state}`).join(", ")}`,
          );
        await new Promise((done) => setTimeout(done, POLL_MS));
      }
    },
    post: (path, body, ...words) =>
      curl(path, "-N", "-H", "content-type: application/json", "-d", JSON.stringify(body), ...words),
    peek: async () => JSON.parse(await curl("/cluster/v1/state")) as ClusterState,
    end,
    async [Symbol.asyncDispose]() {
      const kill = setTimeout(() => child.kill("SIGKILL"), 15_000);
      await end("SIGINT");
      clearTimeout(kill);
    },
  };
  return node;
}
