import { formatBytes } from "@clusterd/daemon/format";
import type { ClusterState, NodeView } from "@clusterd/wire";
import { bar } from "../text/bar.ts";
import { printable } from "../text/printable.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";
import { linksLines } from "./links-view.ts";
import { nodeNames } from "./node-names.ts";
import { NODE_TONES } from "./tones.ts";

const BAR_CELLS = 10;

/** Bytes that running deployments hold on a node. */
export function bytesInUse(state: ClusterState, node: NodeView): number {
  return state.deployments
    .filter((deployment) => deployment.state !== "failed")
    .flatMap((deployment) => deployment.stages)
    .filter((stage) => stage.node === node.id)
    .reduce((sum, stage) => sum + stage.weightBytes + stage.kvBytes + stage.bufferBytes, 0);
}

/** The nodes of the cluster, this one marked. */
export function nodesLines(state: ClusterState, style: Style): string[] {
  const nameOf = nodeNames(state);
  const rows = state.nodes.map((node) => {
    const used = bytesInUse(state, node);
    const { device } = node;
    const accelerators = device.accelerators.map((one) => printable(one.name)).join(", ");
    return [
      node.id === state.self ? `${style("strong", nameOf(node.id))} *` : nameOf(node.id),
      style(NODE_TONES[node.state], node.state) + (node.draining ? style("warn", " draining") : ""),
      `${bar(device.memoryBytesBudget > 0 ? used / device.memoryBytesBudget : 0, BAR_CELLS)} ${formatBytes(used)} of ${formatBytes(device.memoryBytesBudget)}`,
      formatBytes(device.memoryBytesTotal),
      `${formatBytes(device.bandwidthBytesPerSecond)}/s ${style("quiet", device.bandwidthSource)}`,
      printable(device.chip) + (accelerators === "" ? "" : ` + ${accelerators}`),
      printable(node.version),
    ];
  });
  const columns = ["NODE", "STATE", "IN USE OF BUDGET", "MEMORY", "BANDWIDTH", "CHIP", "VERSION"].map((title) => ({ title }));
  return [...table(columns, rows, style), ...linksLines(state, style)];
}
