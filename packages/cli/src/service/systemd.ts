import { join } from "node:path";
import type { ServiceManager, ServiceSpec, Step } from "./service-manager.ts";

const RESTART_SECONDS = 3;
/** From SIGTERM on: engines end, members are told. */
const STOP_SECONDS = 40;
/** More starts than these within the interval are no bad luck. */
const STARTS_MAX = 10;
const STARTS_SECONDS = 300;
/** The exit codes of what a new start would not mend: wrong usage, not admitted. */
const FINAL_EXIT_CODES = "2 6";

/** Where systemd is told to look, and as whom it runs. */
export interface SystemdPlace {
  readonly uid: number;
  readonly user: string;
  /** The user's configuration folder, `~/.config`. */
  readonly configFolder: string;
}

/** A unit of the user's own, or of the machine for root. */
export function systemdService(spec: ServiceSpec, { uid, user, configFolder }: SystemdPlace): ServiceManager {
  const isRoot = uid === 0;
  const unit = `${spec.name}.service`;
  const file = isRoot ? join("/etc/systemd/system", unit) : join(configFolder, "systemd/user", unit);
  const systemctl = (...args: readonly string[]): readonly string[] => ["systemctl", ...(isRoot ? [] : ["--user"]), ...args];
  const linger: Step = {
    command: ["loginctl", "enable-linger", user],
    mayFail: `Without lingering the node runs only while ${user} is logged in: sudo loginctl enable-linger ${user}`,
  };
  return {
    kind: isRoot ? "systemd unit" : "systemd user unit",
    file,
    content: unitText(spec, isRoot),
    encoding: "utf8",
    install: [
      { command: systemctl("daemon-reload") },
      { command: systemctl("enable", unit) },
      { command: systemctl("restart", unit) },
      ...(isRoot ? [] : [linger]),
    ],
    uninstall: {
      before: [{ command: systemctl("disable", "--now", unit), mayFail: null }],
      after: [{ command: systemctl("daemon-reload") }],
    },
    query: { command: systemctl("show", unit, "--property=LoadState,ActiveState,MainPID") },
    readStatus(output, succeeded) {
      const values = new Map(output.split("\n").map((line) => [line.split("=", 1)[0], line.slice(line.indexOf("=") + 1).trim()]));
      const pid = Number(values.get("MainPID") ?? 0);
      return {
        installed: succeeded && values.get("LoadState") === "loaded",
        running: values.get("ActiveState") === "active",
        pid: Number.isSafeInteger(pid) && pid > 0 ? pid : null,
      };
    },
    notes: [`What it prints: journalctl ${isRoot ? "" : "--user "}-u ${unit} -f`],
  };
}

function unitText({ command, workingFolder, environment }: ServiceSpec, isRoot: boolean): string {
  return [
    "[Unit]",
    "Description=clusterd: one language model over the machines you own",
    ...(isRoot ? ["After=network-online.target", "Wants=network-online.target"] : []),
    `StartLimitIntervalSec=${STARTS_SECONDS}`,
    `StartLimitBurst=${STARTS_MAX}`,
    "",
    "[Service]",
    "Type=exec",
    `ExecStart=${command.map(quoted).join(" ")}`,
    `WorkingDirectory=${escaped(workingFolder)}`,
    ...Object.entries(environment).map(([name, value]) => `Environment=${assignment(name, value)}`),
    "Restart=on-failure",
    `RestartSec=${RESTART_SECONDS}`,
    `RestartPreventExitStatus=${FINAL_EXIT_CODES}`,
    "KillMode=mixed",
    `TimeoutStopSec=${STOP_SECONDS}`,
    "NoNewPrivileges=yes",
    "",
    "[Install]",
    `WantedBy=${isRoot ? "multi-user.target" : "default.target"}`,
    "",
  ].join("\n");
}

/** Percent signs stand for systemd's own specifiers. */
const escaped = (text: string): string => text.replaceAll("%", "%%");

/** One word of a command line as systemd splits it, which looks into `$` as well. */
function quoted(word: string): string {
  return `"${escaped(word).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("$", "$$$$")}"`;
}

function assignment(name: string, value: string): string {
  return `"${name}=${escaped(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
