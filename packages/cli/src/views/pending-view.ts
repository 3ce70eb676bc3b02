import type { ClusterState } from "@clusterd/wire";
import { printable } from "../text/printable.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";
import { nodeNames } from "./node-names.ts";

/** The machines that ask to be let in. */
export function pendingLines(state: ClusterState, style: Style): string[] {
  if (state.pending.length === 0) return ["No machine is waiting to be let in."];
  const nameOf = nodeNames(state);
  const columns = ["CODE", "NAME", "ADDRESS", "ASKED"].map((title) => ({ title }));
  const rows = state.pending.map((one) => [
    style("accent", printable(one.code)),
    printable(one.name),
    printable(one.address),
    nameOf(one.askedNode),
  ]);
  return [...table(columns, rows, style), "", "Let one in, if its screen shows the same code: clusterd approve CODE"];
}
