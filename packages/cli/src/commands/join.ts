import { spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { homePaths } from "@clusterd/daemon/home";
import { ClusterdError } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { durationSeconds } from "../arguments/duration.ts";
import { text, texts, toggle, value, whole } from "../arguments/flag.ts";
import { usageError } from "../arguments/usage-error.ts";
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { absoluteRef } from "../model-ref.ts";
import { tellPerson } from "./join-text.ts";

const API_PORT = 2573;
const MESH_PORT = 2574;
const KEEP_ALIVE = "30m";
const PORT = { min: 0, max: 65_535 };
const DETACH_MS_MAX = 300_000;
const LOOK_MS = 200;
/** Said of the disk. */
const NO_LIMIT = "none";
/** Of a daemon that ended at once: its last words. */
const LAST_LINES = 4;

export const joinCommand: Command = command({
  name: "join",
  summary: "run this machine's node: join the cluster on this network, or found one",
  about:
    "Where no cluster answers, one is founded. Where one answers, a code is shown to be approved on a member; a token admits at once. Runs until Ctrl-C.",
  positionals: [],
  flags: {
    name: text("N", "this node's name (default: the host's)"),
    cluster: text("N", "found a cluster of this name, or join only one of this name"),
    token: text("T", "the cluster's token (clusterd token on a member)"),
    "token-file": text("F", "a file that holds the token", { completes: "file" }),
    open: toggle("found a cluster that lets in whoever is on this network"),
    listen: text("IP", "address for the mesh (default: all)"),
    "api-port": whole("P", `port of the API and the dashboard (default ${API_PORT}; 0: any)`, PORT),
    "api-host": text("IP", "address of the API (default 127.0.0.1; beyond loopback a key is needed)"),
    "mesh-port": whole("P", `TCP port of the mesh (default ${MESH_PORT}; 0: any)`, PORT),
    peer: texts("MULTIADDR", "a node to reach besides those found by mDNS; may be repeated", (given) => {
      if (!/^\/(ip4|ip6|dns4|dns6|dns)\/[^/]+\/tcp\/\d+(\/p2p\/\w+)?$/.test(given))
        throw usageError(`--peer takes an address like /ip4/192.168.1.20/tcp/${MESH_PORT}; it was given "${given}".`);
      return given;
    }),
    "trust-link": texts(
      "IFACE|CIDR",
      "a link so private that tunnels over it need no encryption, if the other end agrees; may be repeated",
    ),
    "no-mdns": toggle("do not look on the network by mDNS"),
    memory: value("SIZE", "give models at most this much memory, e.g. 8GB", sizeText),
    disk: value(
      "SIZE",
      "let fetched models take at most this much of the disk, from now on, e.g. 200GB; none: all of it",
      diskText,
    ),
    bandwidth: value("SIZE", "this machine's memory bandwidth per second, e.g. 120GB", sizeText),
    load: text("REF", "deploy this model at the start"),
    upstream: text("FILE", "services to ask where the cluster cannot serve (default: HOME/upstream.json, where it is)", {
      completes: "file",
    }),
    "fetch-rate": value("SIZE", "fetch models at most this fast per second, from members and hubs together, e.g. 20MB", sizeText),
    "serve-rate": value("SIZE", "give models to other members at most this fast per second, all together, e.g. 50MB", sizeText),
    cache: value("SIZE", "keep answers at temperature 0 in this much memory, to give them again, e.g. 64MB", sizeText),
    "no-load-on-request": toggle("requests to this node load no models"),
    "keep-alive": value(
      "DURATION",
      `what a request loaded is unloaded after being idle for so long: ${KEEP_ALIVE}, 1h30m, 0 or forever (default ${KEEP_ALIVE})`,
      durationSeconds,
    ),
    "access-log": text("FILE", "append a line for each request to this file, nothing of its content; kept below 32 MiB", {
      completes: "file",
    }),
    detach: toggle("run in the background; returns when the node is ready"),
  },
  examples: [
    ["clusterd join", "found or join"],
    ["clusterd join --token-file token --memory 12GB", "without a person's approval"],
  ],
  async run(context, { flags }) {
    if (flags.token !== undefined && flags["token-file"] !== undefined)
      throw usageError("--token and --token-file are two ways to say the same; give one.");
    const token = flags["token-file"] === undefined ? flags.token : readTokenFile(resolve(context.cwd, flags["token-file"]));
    if (flags.detach) return detach(context);
    const { parseSize } = await import("@clusterd/daemon/format");
    const { runDaemon } = await import("@clusterd/daemon");
    const running = await runDaemon({
      home: context.home,
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.cluster === undefined ? {} : { cluster: flags.cluster }),
      ...(token === undefined ? {} : { token }),
      open: flags.open,
      listen: flags.listen === undefined ? [] : [flags.listen],
      apiPort: flags["api-port"] ?? API_PORT,
      apiHost: flags["api-host"] ?? "127.0.0.1",
      meshPort: flags["mesh-port"] ?? MESH_PORT,
      peers: flags.peer,
      mdns: !flags["no-mdns"],
      trustedLinks: flags["trust-link"],
      ...(flags.memory === undefined ? {} : { memoryBytes: parseSize(flags.memory) }),
      ...(flags.disk === undefined ? {} : { diskBytes: flags.disk === NO_LIMIT ? null : parseSize(flags.disk) }),
      ...(flags.bandwidth === undefined ? {} : { bandwidthBytesPerSecond: parseSize(flags.bandwidth) }),
      ...(flags["fetch-rate"] === undefined
        ? {}
        : { fetchBytesPerSecond: rateOf(parseSize(flags["fetch-rate"]), "--fetch-rate") }),
      ...(flags["serve-rate"] === undefined
        ? {}
        : { serveBytesPerSecond: rateOf(parseSize(flags["serve-rate"]), "--serve-rate") }),
      loadOnRequest: !flags["no-load-on-request"],
      // Null says forever.
      keepAliveSeconds: flags["keep-alive"] === undefined ? durationSeconds(KEEP_ALIVE, "--keep-alive") : flags["keep-alive"],
      ...(flags.upstream === undefined ? {} : { upstreamFile: resolve(context.cwd, flags.upstream) }),
      ...(flags.cache === undefined ? {} : { cacheBytes: parseSize(flags.cache) }),
      ...(flags.load === undefined ? {} : { load: absoluteRef(flags.load, context.cwd) }),
      ...(flags["access-log"] === undefined ? {} : { accessLog: resolve(context.cwd, flags["access-log"]) }),
      onEvent: (event) => (context.json ? context.terminal.printJson(event) : tellPerson(context.terminal, event)),
      signal: context.signal,
    });
    await running.closed;
    return context.signal.aborted && context.signal.reason === "SIGINT" ? EXIT.interrupted : EXIT.done;
  },
});

/** A size, or that there is no limit. */
function diskText(given: string, flag: string): string {
  return given.trim().toLowerCase() === NO_LIMIT ? NO_LIMIT : sizeText(given, flag);
}

/** Checked here already, so that a typing error ends before anything starts. */
function sizeText(given: string, flag: string): string {
  if (!/^\s*\d+(\.\d+)?\s*([kmgt]?i?b?)(\/s)?\s*$/i.test(given))
    throw usageError(`${flag} takes a size like 8GB; it was given "${given}".`);
  return given;
}

/** Below it those who wait for their turn would look dead to each other. */
const RATE_BYTES_MIN: number = 64 * 1024;

function rateOf(bytesPerSecond: number, flag: string): number {
  if (bytesPerSecond < RATE_BYTES_MIN) throw usageError(`${flag} takes at least ${RATE_BYTES_MIN / 1024}KiB, per second.`);
  return bytesPerSecond;
}

function readTokenFile(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new ClusterdError("not_found", `The token file ${file} cannot be read.`, {
      cause: error,
      next: "Check the path given to --token-file.",
    });
  }
}

/** Starts the same command in the background and waits until its node is ready or waits for approval. */
async function detach(context: Context): Promise<ExitCode> {
  const { logs } = homePaths(context.home);
  try {
    mkdirSync(logs, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new ClusterdError(
      "home_unusable",
      `The home ${context.home} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error, next: "Give another folder with --home DIR." },
    );
  }
  const file = join(logs, "daemon.log");
  const log = openSync(file, "a", 0o600);
  const args = process.argv.slice(1).filter((word) => word !== "--detach" && word !== "--json");
  const child = spawn(process.execPath, [...process.execArgv, ...args, "--home", context.home], {
    cwd: context.cwd,
    detached: true,
    stdio: ["ignore", log, log],
  });
  let ended: ExitCode | null = null;
  child.once("exit", (code) => (ended = (code ?? EXIT.failed) as ExitCode));
  child.unref();
  const deadline = performance.now() + DETACH_MS_MAX;
  while (performance.now() < deadline) {
    if (context.signal.aborted) {
      child.kill("SIGINT");
      return EXIT.interrupted;
    }
    if (ended !== null) {
      // Its last words, and its own exit code.
      context.terminal.say(readFileSync(file, "utf8").trim().split("\n").slice(-LAST_LINES));
      return ended;
    }
    const state = await findDaemon(context.home, context.signal).then(
      (client) => client.state(),
      () => null,
    );
    if (state !== null && state.standing.kind !== "looking") {
      const { kind, code } = state.standing;
      if (context.json)
        context.terminal.printJson({
          event: kind === "member" ? "ready" : "pending",
          node: state.self,
          pid: child.pid,
          code,
          log: file,
        });
      else
        context.terminal.print(
          kind === "member"
            ? `clusterd runs in the background (process ${child.pid}); its log is ${file}`
            : `Waiting to be let in. On a member type: clusterd approve ${code}`,
        );
      return EXIT.done;
    }
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
  throw new ClusterdError("timeout", "The daemon is up but no cluster has let it in yet.", { next: `Its log is ${file}.` });
}
