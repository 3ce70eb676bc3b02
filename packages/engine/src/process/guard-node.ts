import type { GuardedCommand } from "./guard.ts";

/**
 * The guard where there is no such shell: a Node process between the daemon and the program. Its standard input is the lifeline, and
 * what comes on it is passed on. Requests to end go to the whole group, so it ignores them and waits for the program. Text rather
 * than a module, so that it runs from a bundle as well.
 */
const SCRIPT = `
const { spawn, spawnSync } = require("node:child_process");
const windows = process.platform === "win32";
for (const name of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(name, () => {});
const [command, ...args] = process.argv.slice(1);
const child = spawn(command, args, { stdio: ["pipe", "inherit", "inherit"], windowsHide: true });
const killAll = () => {
  if (windows) spawnSync("taskkill", ["/pid", String(child.pid), "/T", "/F"], { windowsHide: true });
  else process.kill(-process.pid, "SIGKILL");
  process.exit(137);
};
child.on("error", () => process.exit(127));
child.on("exit", (code, signal) => {
  if (signal === null || windows) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
child.stdin.on("error", () => {});
process.stdin.on("data", (chunk) => child.stdin.write(chunk));
process.stdin.on("end", killAll).on("error", killAll);
`;

/** The guard for Windows; elsewhere it serves where there is no shell, and needs the spawned process to lead a group (`detached`). */
export function nodeGuard(command: string, args: readonly string[]): GuardedCommand {
  return {
    command: process.execPath,
    args: ["-e", SCRIPT, "--", command, ...args],
    stdio: ["pipe", "pipe", "pipe"],
    lifeline: 0,
  };
}
