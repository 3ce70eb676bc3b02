import { readFile } from "node:fs/promises";
import { parseInventory } from "@clusterd/planner";
import { ClusterdError, placeText, type ClusterState, type Inventory, type NodeId } from "@clusterd/wire";
import { linkTable, memoryInUse, plannerNodes } from "../planning/cluster-machines.ts";

/** The machines of an inventory file. Throws `not_found`, or `usage` naming the field that is wrong. */
export async function readInventory(file: string): Promise<Inventory> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new ClusterdError("not_found", `The inventory ${file} cannot be read.`, {
      cause: error,
      next: "Check the path given to --nodes.",
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new ClusterdError("usage", `The inventory ${file} is not JSON: ${problem}`, { cause: error });
  }
  return parseInventory(json);
}

/** The machines of a running cluster with the memory its deployments leave, every one as if it had any model's file. */
export function liveInventory(state: Pick<ClusterState, "nodes" | "deployments">): Inventory {
  const members = state.nodes.filter((node) => node.state === "alive" && !node.draining);
  const names = new Map<NodeId, string>();
  for (const { id, name, device } of members) {
    names.set(id, name);
    for (let index = 1; index < device.accelerators.length; index++)
      names.set(placeText({ node: id, device: index }), placeText({ node: name, device: index }));
  }
  const machines = members.map(({ id, device, links }) => ({ id, device, links, canHead: true }));
  return { nodes: plannerNodes(machines, names, memoryInUse(state.deployments)), links: linkTable(machines, names) };
}
