import { placeOf, placeText, type ClusterState, type NodeId } from "@clusterd/wire";
import { printable } from "../text/printable.ts";

/** What people call the nodes; the end of the id besides where two have one name. */
export function nodeNames(state: ClusterState): (id: NodeId) => string {
  const counts = new Map<string, number>();
  for (const node of state.nodes) counts.set(node.name, (counts.get(node.name) ?? 0) + 1);
  const names = new Map(
    state.nodes.map((node) => {
      const name = printable(node.name);
      return [node.id, (counts.get(node.name) ?? 0) > 1 ? `${name} (…${node.id.slice(-6)})` : name];
    }),
  );
  return (id) => {
    const { node, device } = placeOf(id);
    return placeText({ node: names.get(node) ?? `…${printable(node.slice(-6))}`, device });
  };
}
