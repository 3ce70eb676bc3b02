import type { ClusterState } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import type { Context } from "../context.ts";
import { modelsCommand } from "./models.ts";
import type { Style } from "../text/style.ts";
import { deploymentsLines } from "../views/deployments-view.ts";
import { disksLines } from "../views/disk-view.ts";
import { nodesLines } from "../views/nodes-view.ts";
import { pendingLines } from "../views/pending-view.ts";
import { statusLines } from "../views/status-view.ts";

/** A command that shows a part of the cluster's state. */
function look(
  name: string,
  summary: string,
  part: (state: ClusterState) => unknown,
  lines: (state: ClusterState, style: Style) => string[],
): Command {
  return command({
    name,
    summary,
    positionals: [],
    flags: {},
    examples: [
      [`clusterd ${name}`, "for people"],
      [`clusterd ${name} --json`, "for programs"],
    ],
    async run(context: Context) {
      const state = (await (await findDaemon(context.home, context.signal)).get("/cluster/v1/state")) as ClusterState;
      if (context.json) context.terminal.printJson(part(state));
      else context.terminal.print(lines(state, context.terminal.style));
    },
  });
}

function nodesAndDisks(state: ClusterState, style: Style): string[] {
  const disks = disksLines(state, style);
  return [...nodesLines(state, style), ...(disks.length === 0 ? [] : ["", ...disks])];
}

export const LOOK_COMMANDS: readonly Command[] = [
  look("status", "the cluster at a glance", (state) => state, statusLines),
  look("nodes", "the machines: memory, bandwidth, state", (state) => ({ nodes: state.nodes }), nodesAndDisks),
  look("ps", "the deployments and where their layers are", (state) => ({ deployments: state.deployments }), deploymentsLines),
  modelsCommand,
  look("pending", "the machines that wait to be let in", (state) => ({ pending: state.pending }), pendingLines),
];
