import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { homePaths } from "@clusterd/daemon/home";
import { ClusterdError } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { parseCommandLine } from "../arguments/parse-command-line.ts";
import { usageError } from "../arguments/usage-error.ts";
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { installService, statusOf, uninstallService } from "../service/carry-out.ts";
import { chooseManager, serviceName } from "../service/choose-manager.ts";
import type { ServiceManager } from "../service/service-manager.ts";
import { printable } from "../text/printable.ts";
import { joinCommand } from "./join.ts";

/** Of join's flags, those that are paths: a service starts in another folder than the person's. */
const PATH_FLAGS: ReadonlySet<string> = new Set(["--token-file", "--upstream", "--access-log"]);
/** Of the environment, what a daemon and its engine look at. */
const KEPT_VARIABLES = ["PATH", "NODE_COMPILE_CACHE", "HF_TOKEN", "HF_ENDPOINT", "HTTPS_PROXY", "NO_PROXY", "XDG_CACHE_HOME"];
/** Secrets have no place in a file that others may read. */
const SECRET_VARIABLES: ReadonlySet<string> = new Set(["HF_TOKEN"]);

export const serviceCommand: Command = command({
  name: "service",
  summary: "run this machine's node from the system's start on",
  about:
    "Installs a unit of systemd, an agent of launchd or a scheduled task for this home, which runs clusterd join with the flags given after --, " +
    "starts it, and starts it again when it fails. With root's rights it is installed for the machine, else for you. Install again to change the flags.",
  positionals: [
    { name: "ACTION", required: true, summary: "install, uninstall or status", choices: ["install", "uninstall", "status"] },
    { name: "-- FLAGS", required: false, summary: "flags of clusterd join (install only)", rest: true },
  ],
  flags: {},
  examples: [
    ["clusterd service install -- --memory 12GB --name pi", "this node, always"],
    ["clusterd service status", "whether it is installed and runs"],
    ["clusterd service uninstall", "ends it; the home and its models stay"],
  ],
  async run(context, { args: [action, ...words] }) {
    if (action !== "install" && words.length > 0)
      throw usageError(`"clusterd service ${action}" does not take "${printable(words[0] ?? "")}".`);
    const { manager, environment } = managerOf(context, joinWords(words, context.cwd));
    switch (action) {
      case "install":
        return install(context, manager, environment);
      case "uninstall":
        return uninstall(context, manager);
      default:
        return status(context, manager);
    }
  },
});

/** Join's flags as they were given, paths made absolute. Throws join's own usage errors, and refuses what a service cannot have. */
export function joinWords(words: readonly string[], cwd: string): readonly string[] {
  const line = parseCommandLine(["join", ...words], [joinCommand]);
  if (line.kind !== "run" || line.json || line.home !== undefined || line.flags["detach"] === true)
    throw usageError(
      "--detach, --json, --home and --help are not said to a service.",
      "The home goes before: clusterd service install --home DIR",
    );
  if (line.flags["token"] !== undefined)
    throw usageError(
      "A token in a service's definition could be read by others.",
      "Join once by hand (the home remembers), or give --token-file FILE.",
    );
  const isRef = (name: string, value: string): boolean =>
    PATH_FLAGS.has(name) || (name === "--load" && /^\.{0,2}[/\\]/.test(value));
  const absolute: string[] = [];
  for (const [index, word] of words.entries()) {
    const [, name = "", value = ""] = /^(--[\w-]+)=(.*)$/s.exec(word) ?? [];
    const before = words[index - 1] ?? "";
    if (name !== "" && isRef(name, value)) absolute.push(`${name}=${resolve(cwd, value)}`);
    else absolute.push(isRef(before, word) ? resolve(cwd, word) : word);
  }
  return absolute;
}

function managerOf(context: Context, words: readonly string[]): { manager: ServiceManager; environment: readonly string[] } {
  const { home } = context;
  const entries = KEPT_VARIABLES.flatMap((name) => {
    const value = process.env[name];
    return value === undefined || value === "" || SECRET_VARIABLES.has(name) ? [] : [[name, value] as const];
  });
  const left = [...SECRET_VARIABLES].filter((name) => (process.env[name] ?? "") !== "");
  const command = [process.execPath, ...process.execArgv, resolve(process.argv[1] ?? ""), "join", "--home", home, ...words];
  const spec = {
    name: serviceName(home, join(homedir(), ".clusterd")),
    command,
    workingFolder: homedir(),
    environment: Object.fromEntries(entries),
    logFile: join(homePaths(home).logs, "daemon.log"),
  };
  return { manager: chooseManager(spec, home, process.env), environment: left };
}

async function install(context: Context, manager: ServiceManager, left: readonly string[]): Promise<ExitCode> {
  const { signal, terminal, home } = context;
  const before = await statusOf(manager, signal);
  const runs = await findDaemon(home, signal).then(
    () => true,
    () => false,
  );
  if (runs && !before.running)
    throw new ClusterdError("already_running", `A daemon that was started by hand runs for ${home}.`, {
      next: "End it (Ctrl-C, or kill its process: clusterd status), then install again.",
    });
  const notes = [
    ...(await installService(manager, signal)),
    ...left.map((name) => `${name} is not kept in the definition: put it in the service manager's own environment.`),
  ];
  const after = await statusOf(manager, signal);
  if (context.json) terminal.printJson({ ...described(manager), ...after, notes });
  else
    terminal.print([
      `${before.installed ? "Installed again" : "Installed"}: ${manager.kind} ${manager.file}`,
      after.running ? "It runs; clusterd status tells more." : "It does not run yet; clusterd service status tells.",
      ...notes,
    ]);
  return EXIT.done;
}

async function uninstall(context: Context, manager: ServiceManager): Promise<ExitCode> {
  const { signal, terminal } = context;
  const before = await statusOf(manager, signal);
  if (!before.installed && !(await isThere(manager.file)))
    throw new ClusterdError("not_found", `There is no ${manager.kind} ${manager.file}.`);
  await uninstallService(manager, signal);
  if (context.json) terminal.printJson({ ...described(manager), installed: false, running: false, pid: null });
  else terminal.print(`Removed: ${manager.kind} ${manager.file}. The home ${context.home} stays.`);
  return EXIT.done;
}

async function status(context: Context, manager: ServiceManager): Promise<ExitCode> {
  const { signal, terminal } = context;
  const now = await statusOf(manager, signal);
  if (context.json) terminal.printJson({ ...described(manager), ...now });
  else if (!now.installed) terminal.print("Not installed. Install it: clusterd service install");
  else {
    const pid = now.pid === null ? "" : ` (process ${now.pid})`;
    terminal.print([`${manager.kind}  ${manager.file}`, now.running ? `runs${pid}` : "installed, does not run"]);
  }
  if (!now.installed) return EXIT.notFound;
  return now.running ? EXIT.done : EXIT.notRunning;
}

const described = ({ kind, file }: ServiceManager): { kind: string; file: string } => ({ kind, file });

const isThere = (file: string): Promise<boolean> =>
  readFile(file).then(
    () => true,
    () => false,
  );
