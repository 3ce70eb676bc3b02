import type { NodeId, NodeState } from "@clusterd/wire";

export const HEARTBEAT_MS = 2_000;
/** Without a sign for this long a member is suspected. */
export const SUSPECT_MS: number = 3 * HEARTBEAT_MS + 500;
/** And after this long it has left. */
export const LEFT_MS: number = SUSPECT_MS + 20_000;

/** When each member was last heard, in this node's own monotonic milliseconds: no clock of anybody's matters. */
export type MemberTable = ReadonlyMap<NodeId, { readonly heardMs: number; readonly state: NodeState }>;

export function heard(table: MemberTable, node: NodeId, nowMs: number): MemberTable {
  return new Map(table).set(node, { heardMs: nowMs, state: "alive" });
}

export function departed(table: MemberTable, node: NodeId): MemberTable {
  const known = table.get(node);
  return known === undefined ? table : new Map(table).set(node, { ...known, state: "left" });
}

/** Judges everyone by the time since they were heard. `stalledMs`: how long this node itself was held up, which is nobody else's fault. */
export function judged(table: MemberTable, nowMs: number, stalledMs: number): MemberTable {
  const next = new Map(table);
  for (const [node, { heardMs, state }] of table) {
    const fair = heardMs + stalledMs;
    const silentMs = nowMs - fair;
    const judgement: NodeState = state === "left" || silentMs >= LEFT_MS ? "left" : silentMs >= SUSPECT_MS ? "suspect" : "alive";
    next.set(node, { heardMs: fair, state: judgement });
  }
  return next;
}

/** Whose state differs between two tables. */
export function changes(
  before: MemberTable,
  after: MemberTable,
): readonly { readonly node: NodeId; readonly state: NodeState }[] {
  return [...after]
    .filter(([node, { state }]) => before.get(node)?.state !== state)
    .map(([node, { state }]) => ({ node, state }));
}
