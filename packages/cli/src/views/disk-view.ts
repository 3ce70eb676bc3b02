import { formatBytes } from "@clusterd/daemon/format";
import type { ClusterState, NodeView } from "@clusterd/wire";
import { bar } from "../text/bar.ts";
import { printable } from "../text/printable.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";
import { nodeNames } from "./node-names.ts";

const BAR_CELLS = 10;

/** `layers 0-9, embeddings and output`: what a node has of a model. */
function partText({ layers, hasHead }: { readonly layers: string; readonly hasHead: boolean }): string {
  const words = [...(layers === "" ? [] : [`layers ${layers}`]), ...(hasHead ? ["embeddings and output"] : [])];
  return words.length === 0 ? "pieces" : words.join(", ");
}

/** What nodes have of models in parts, a line each. */
export function partsLines(state: ClusterState): string[] {
  const nameOf = nodeNames(state);
  return state.nodes.flatMap((node) =>
    (node.held ?? []).map((part) => {
      const coming = part.fetching === null ? "" : `, fetching ${partText(part.fetching)}`;
      return `${partText(part)} of ${printable(part.model)} on ${nameOf(node.id)}, ${formatBytes(part.diskBytes)}${coming}`;
    }),
  );
}

/** What models take of a node's disk: `12 GB of 20 GB`. */
function usedText({ usedBytes, capBytes, freeBytes }: NonNullable<NodeView["disk"]>): string {
  // Without a limit all that is free may be taken.
  const limit = capBytes ?? usedBytes + freeBytes;
  const share = limit > 0 ? Math.min(1, usedBytes / limit) : 0;
  return `${bar(share, BAR_CELLS)} ${formatBytes(usedBytes)}${capBytes === null ? "" : ` of ${formatBytes(capBytes)}`}`;
}

/** The nodes' disks, and what models that were fetched take there. */
export function disksLines(state: ClusterState, style: Style): string[] {
  const nameOf = nodeNames(state);
  const rows = state.nodes.flatMap((node) => {
    const { disk } = node;
    if (disk === undefined || disk === null || node.state === "left") return [];
    return [[nameOf(node.id), usedText(disk), formatBytes(disk.freeBytes), formatBytes(disk.totalBytes)]];
  });
  if (rows.length === 0) return [];
  const columns = ["NODE", "FETCHED MODELS TAKE", "FREE", "DISK"].map((title) => ({ title }));
  return table(columns, rows, style);
}
