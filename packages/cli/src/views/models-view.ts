import { formatBytes } from "@clusterd/daemon/format";
import type { ClusterState } from "@clusterd/wire";
import { printable } from "../text/printable.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";
import { disksLines, partsLines } from "./disk-view.ts";
import { nodeNames } from "./node-names.ts";

/** Where a file is another tool's, that is said: it must not surprise who cleans up there. */
function withSource(node: string, source: string | undefined): string {
  return source === undefined || ["", "path", "bundled", "home"].includes(source) ? node : `${node} (${printable(source)})`;
}

/** The models that some node has. */
export function modelsLines(state: ClusterState, style: Style): string[] {
  const parts = partsLines(state);
  const kept = [...withGap(parts), ...withGap(disksLines(state, style))];
  if (state.models.length === 0 && parts.length > 0) return kept.slice(1);
  if (state.models.length === 0) return ["No node has a model yet. Deploy one from a file: clusterd load PATH.gguf"];
  const nameOf = nodeNames(state);
  const columns = [
    { title: "MODEL" },
    { title: "SIZE", align: "right" as const },
    { title: "LAYERS", align: "right" as const },
    { title: "CONTEXT", align: "right" as const },
    { title: "KIND" },
    { title: "ALSO CALLED" },
    { title: "ON" },
    ...(state.models.some(({ path }) => path !== undefined) ? [{ title: "HERE" }] : []),
  ];
  const rows = state.models.map((model) => [
    style("strong", printable(model.id)),
    formatBytes(model.fileBytes),
    String(model.layerCount),
    String(model.contextMax),
    printable(`${model.architecture} ${model.quantisation}`),
    model.aliases.map(printable).join(", "),
    model.nodes.map((node, at) => withSize(withSource(nameOf(node), model.sources?.[at]), model.diskBytes?.[at])).join(", "),
    printable(model.path ?? ""),
  ]);
  return [...table(columns, rows, style), ...kept];
}

const withGap = (lines: readonly string[]): readonly string[] => (lines.length === 0 ? [] : ["", ...lines]);

/** What it takes on that node's disk. */
function withSize(node: string, diskBytes: number | null | undefined): string {
  return diskBytes === null || diskBytes === undefined ? node : `${node} ${formatBytes(diskBytes)}`;
}
