import type { ClusterState, ModelView, NodeView } from "@clusterd/wire";
import { sizeText } from "./size-text.ts";

/** A node's disk: what models that were fetched take of it, what else is on it, and what is free. Shares of the whole disk, 0 to 1. */
export interface DiskCard {
  readonly usedShare: number;
  readonly otherShare: number;
  /** Where the models' limit is, counted as their bar; null: there is none. */
  readonly capShare: number | null;
  readonly text: string;
  /** What it has of models in parts, with sizes. */
  readonly parts: readonly { readonly key: string; readonly text: string; readonly bytesText: string }[];
}

/** Null where the node does not tell. */
export function diskCard({ disk, held = [] }: NodeView): DiskCard | null {
  if (disk === null || disk === undefined || disk.totalBytes === 0) return null;
  const { totalBytes, freeBytes, usedBytes, capBytes } = disk;
  const share = (bytes: number): number => Math.min(1, Math.max(0, bytes / totalBytes));
  const used = share(usedBytes);
  const limit = capBytes === null ? "" : ` of ${sizeText(capBytes)} allowed`;
  return {
    usedShare: used,
    otherShare: Math.min(1 - used, share(totalBytes - freeBytes - usedBytes)),
    capShare: capBytes === null ? null : share(capBytes),
    text: `Disk: fetched models take ${sizeText(usedBytes)}${limit}; ${sizeText(freeBytes)} of ${sizeText(totalBytes)} free`,
    parts: held.map((part) => ({
      key: part.contentId,
      text: `${partText(part)} of ${part.model}`,
      bytesText: sizeText(part.diskBytes) + (part.fetching === null ? "" : ", fetching"),
    })),
  };
}

function partText({ layers, hasHead }: { readonly layers: string; readonly hasHead: boolean }): string {
  const words = [
    ...(layers === "" ? [] : [`layers ${layers.replaceAll("-", "–")}`]),
    ...(hasHead ? ["embeddings and output"] : []),
  ];
  return words.length === 0 ? "pieces" : words.join(", ");
}

/** The nodes that have the whole of a model, with what it takes there. */
export function copiesText({ nodes, diskBytes = [] }: ModelView, state: Pick<ClusterState, "nodes">): string {
  const names = new Map(state.nodes.map((node) => [node.id, node.name]));
  return nodes
    .map((node, at) => {
      const bytes = diskBytes[at] ?? null;
      return `${names.get(node) ?? "a node that left"}${bytes === null ? "" : ` (${sizeText(bytes)})`}`;
    })
    .join(", ");
}
