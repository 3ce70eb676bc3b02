import { ClusterdError, type LogEvent } from "@clusterd/wire";
import type { Client } from "../api/client.ts";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { toggle, whole } from "../arguments/flag.ts";
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { counted } from "../text/rate.ts";
import { printable } from "../text/printable.ts";

const LINES_DEFAULT = 200;
const LINES_MAX = 2_000;

export const logsCommand: Command = command({
  name: "logs",
  summary: "what a node's daemon has logged, and what it logs from now on",
  about:
    "Of this machine's node, or of any member of the cluster by its name or id. With --follow it goes on until Ctrl-C (status 130), or " +
    "until the node is gone (status 1). A daemon keeps its last 2,000 lines.",
  positionals: [{ name: "NODE", required: false, summary: "its name or id (default: this node)" }],
  flags: {
    follow: toggle("go on with what is logged from now on", { short: "f" }),
    lines: whole("N", `how many of the last lines (default ${LINES_DEFAULT})`, { min: 1, max: LINES_MAX }),
  },
  examples: [
    ["clusterd logs --lines 50", "the last ones of this node"],
    ["clusterd logs mini-2 -f", "another machine's, as they come"],
    ["clusterd logs -f --json", "an object per line"],
  ],
  async run(context, { args: [node], flags }) {
    const client = await findDaemon(context.home, context.signal);
    const query = new URLSearchParams({ lines: String(flags.lines ?? LINES_DEFAULT), ...(node === undefined ? {} : { node }) });
    const path = `/cluster/v1/logs?${query.toString()}`;
    if (flags.follow) return follow(context, client, path, node ?? null);
    const answer = (await client.get(path)) as { lines: readonly string[] };
    if (context.json) context.terminal.printJson(node === undefined ? answer : { node, ...answer });
    else if (answer.lines.length > 0) context.terminal.print(answer.lines.map(printable));
    return EXIT.done;
  },
});

async function follow(context: Context, client: Client, path: string, node: string | null): Promise<ExitCode> {
  const { terminal, signal, json } = context;
  const named = node ?? "this node";
  try {
    for await (const given of client.lines(`${path}&follow=1`)) {
      const event = given as LogEvent;
      if (event.event === "failed") {
        const { code, message, next } = event.error;
        throw new ClusterdError(code, message, next === null ? {} : { next });
      }
      if (event.event === "quiet") continue;
      if (event.missed > 0) {
        if (json) terminal.printJson({ event: "missed", node, lines: event.missed });
        else terminal.say(`(${counted(event.missed, "line")} came faster than they could be told)`);
      }
      for (const line of event.lines) {
        if (json) terminal.printJson({ event: "line", node, line });
        else terminal.print(printable(line));
      }
    }
  } catch (error) {
    if (signal.aborted) return EXIT.interrupted;
    if (!(error instanceof ClusterdError) || error.code !== "not_running") throw error;
    throw ended(named, error);
  }
  if (signal.aborted) return EXIT.interrupted;
  throw ended(named);
}

/** The daemon that was asked is gone: something that failed, where one that never ran has a status of its own. */
function ended(named: string, cause?: unknown): ClusterdError {
  return new ClusterdError("failed", `The daemon here ended while the log of ${named} was followed.`, {
    ...(cause === undefined ? {} : { cause }),
    next: "Start it again with: clusterd join",
  });
}
