import type { GuardedCommand } from "./guard.ts";

/** The lifeline's descriptor: not standard input, which a shell takes away from what it runs in the background. */
const LIFELINE = 3;

/**
 * The program takes the shell's place by `exec`, so its pid is the one that was spawned, and its group's. A watcher in the same group
 * reads the lifeline, on which nothing is ever written, and at its end kills the group, itself included. It ignores what asks the
 * group to end, and holds none of the streams, so that the program's end closes them. SIGPIPE is ignored for the program too, which
 * `exec` keeps: an rpc-server dies of it when its head vanishes. (No `--` before the group: dash does not take it.)
 */
const SCRIPT = `trap '' PIPE
( trap '' HUP INT TERM; exec </dev/null >/dev/null 2>&1; read -r line <&${LIFELINE}; kill -9 "-$$" ) &
exec "$@" ${LIFELINE}<&-`;

/** The guard where there are a shell and process groups. Needs the spawned process to lead a group (`detached`). */
export function posixGuard(command: string, args: readonly string[], shell: string = "/bin/sh"): GuardedCommand {
  return {
    command: shell,
    args: ["-c", SCRIPT, "clusterd-guard", command, ...args],
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    lifeline: LIFELINE,
  };
}
