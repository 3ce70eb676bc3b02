import { formatBytes } from "@clusterd/daemon/format";
import type { ClusterState } from "@clusterd/wire";
import { printable } from "../text/printable.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";
import { nodeNames } from "./node-names.ts";

/** Where a file is another tool's, that is said: it must not surprise who cleans up there. */
function withSource(node: string, source: string | undefined): string {
  return source === undefined || ["", "path", "bundled", "home"].includes(source) ? node : `${node} (${printable(source)})`;
}

/** The models that some node has. */
export function modelsLines(state: ClusterState, style: Style): string[] {
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
  ];
  const rows = state.models.map((model) => [
    style("strong", printable(model.id)),
    formatBytes(model.fileBytes),
    String(model.layerCount),
    String(model.contextMax),
    printable(`${model.architecture} ${model.quantisation}`),
    model.aliases.map(printable).join(", "),
    model.nodes.map((node, at) => withSource(nameOf(node), model.sources?.[at])).join(", "),
  ]);
  return table(columns, rows, style);
}
