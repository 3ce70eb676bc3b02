import { formatBytes } from "@clusterd/daemon/format";
import type { ClusterState, LinkView, NodeId, NodeView } from "@clusterd/wire";
import { milliseconds } from "../text/rate.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";
import { nodeNames } from "./node-names.ts";

/** Sixteen machines have 120 links: the slowest are those that matter. */
const LINKS_SHOWN_MAX = 24;
const UNKNOWN = "—";

interface LinkRow {
  readonly a: NodeId;
  readonly b: NodeId;
  readonly rttMs: number;
  readonly there: LinkView | undefined;
  readonly back: LinkView | undefined;
}

/** What the nodes measured of the ways between them, the slowest round trip first; nothing where there is nothing. */
export function linksLines(state: ClusterState, style: Style): string[] {
  const nodes = state.nodes.filter((node) => node.state !== "left");
  const rows = nodes
    .flatMap((a, index) => nodes.slice(index + 1).flatMap((b) => linkRow(a, b)))
    .toSorted((one, other) => other.rttMs - one.rttMs);
  if (rows.length === 0) return [];
  const nameOf = nodeNames(state);
  const shown = rows
    .slice(0, LINKS_SHOWN_MAX)
    .map(({ a, b, rttMs, there, back }) => [
      `${nameOf(a)} – ${nameOf(b)}`,
      `${milliseconds(rttMs)} ms`,
      rateOf(there),
      rateOf(back),
    ]);
  const columns = [{ title: "LINK" }, { title: "ROUND TRIP" }, { title: "→" }, { title: "←" }];
  const hidden = rows.length - shown.length;
  return ["", ...table(columns, shown, style), ...(hidden > 0 ? [style("quiet", `and ${hidden} shorter ones`)] : [])];
}

function linkRow(a: NodeView, b: NodeView): readonly LinkRow[] {
  const there = a.links.find((link) => link.to === b.id);
  const back = b.links.find((link) => link.to === a.id);
  const known = [there, back].filter((link) => link !== undefined);
  if (known.length === 0) return [];
  // Heartbeats take another way than tunnels.
  const measured = known.filter((link) => link.bytesPerSecond > 0);
  const rttMs = Math.min(...(measured.length > 0 ? measured : known).map((link) => link.rttMs));
  return [{ a: a.id, b: b.id, rttMs, there, back }];
}

function rateOf(link: LinkView | undefined): string {
  return link === undefined || link.bytesPerSecond === 0 ? UNKNOWN : `${formatBytes(link.bytesPerSecond)}/s`;
}
