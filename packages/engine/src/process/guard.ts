/**
 * The guard of a child process, so that it never outlives the daemon. The child takes the shell's place by `exec` (its pid is its
 * group's); a watcher in the same group holds the pipe that is the daemon's end of the child's standard input and kills the group
 * when that pipe closes, which the system does however the daemon ends. SIGPIPE is ignored: an rpc-server dies of it when its head vanishes.
 */
const POSIX_GUARD = `
trap '' PIPE
exec 3<&0
( trap '' TERM INT HUP; read -r _ <&3; kill -9 "-$$" ) >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
`;

/** The same for Windows, where there are neither groups nor pipes to a shell: a Node process that ends its child with its own input. */
const NODE_GUARD = `
const { spawn } = require("node:child_process");
const [command, ...args] = process.argv.slice(1);
const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });
child.on("error", (error) => { console.error(error.message); process.exit(127); });
child.on("exit", (code, signal) => process.exit(code ?? 128 + (signal === "SIGKILL" ? 9 : 15)));
for (const name of ["SIGTERM", "SIGINT"]) process.on(name, () => child.kill(name));
process.stdin.on("close", () => { child.kill("SIGKILL"); process.exit(137); }).resume();
`;

export interface GuardedCommand {
  readonly command: string;
  readonly args: readonly string[];
}

/** The command that runs `command` under the guard of its platform. */
export function guarded(command: string, args: readonly string[], platform: NodeJS.Platform = process.platform): GuardedCommand {
  if (platform === "win32") return { command: process.execPath, args: ["-e", NODE_GUARD, command, ...args] };
  return { command: "/bin/sh", args: ["-c", POSIX_GUARD, "guard", command, ...args] };
}
