import { formatBytes } from "@clusterd/daemon/format";
import type { ClusterState } from "@clusterd/wire";
import { printable } from "../text/printable.ts";
import { counted } from "../text/rate.ts";
import type { Style } from "../text/style.ts";
import { deploymentsLines } from "./deployments-view.ts";
import { bytesInUse, nodesLines } from "./nodes-view.ts";
import { pendingLines } from "./pending-view.ts";
import { pullsLines } from "./pulls-view.ts";

/** The whole cluster on one page. */
export function statusLines(state: ClusterState, style: Style): string[] {
  if (state.standing.kind === "pending") {
    const code = printable(state.standing.code ?? "");
    return ["This machine waits to be let into a cluster.", `On a member, type: clusterd approve ${code}`];
  }
  if (state.standing.kind === "looking") return ["This machine looks for a cluster on the network."];
  const alive = state.nodes.filter((node) => node.state !== "left");
  const used = alive.reduce((sum, node) => sum + bytesInUse(state, node), 0);
  const budget = alive.reduce((sum, node) => sum + node.device.memoryBytesBudget, 0);
  const open = state.cluster.open ? style("warn", "  open: admits any machine on the network") : "";
  return [
    `Cluster ${style("strong", printable(state.cluster.name))} · ${counted(alive.length, "node")} · ${formatBytes(used)} of ${formatBytes(budget)} in use${open}`,
    "",
    ...nodesLines(state, style),
    "",
    ...deploymentsLines(state, style),
    ...withGap(pullsLines(state)),
    ...upstreamLines(state),
    ...(state.pending.length === 0 ? [] : ["", ...pendingLines(state, style)]),
  ];
}

const withGap = (lines: readonly string[]): readonly string[] => (lines.length === 0 ? [] : ["", ...lines]);

/** Where requests to this node may go that the cluster cannot serve. */
function upstreamLines({ upstreams = [] }: ClusterState): string[] {
  if (upstreams.length === 0) return [];
  const lines = upstreams.map(({ name, models }) => `  ${printable(name)}  for ${models.map(printable).join(", ")}`);
  return ["", "Upstreams of this node, where the cluster cannot serve:", ...lines];
}
