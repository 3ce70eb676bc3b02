import type { NodeId } from "@clusterd/wire";
import type { DaemonState } from "./daemon-state.ts";

/** Length of the id's tail that tells two nodes of one name apart. */
const SUFFIX_LENGTH = 6;

/** Every node's name as people see it: its own, with the tail of its id where several bear the same. */
export function displayNames(state: DaemonState): ReadonlyMap<NodeId, string> {
  const own = new Map<NodeId, string>([[state.self, state.own.name]]);
  for (const [id, other] of state.others) own.set(id, other.advert.name);
  const count = new Map<string, number>();
  for (const name of own.values()) count.set(name, (count.get(name) ?? 0) + 1);
  return new Map([...own].map(([id, name]) => [id, (count.get(name) ?? 0) > 1 ? `${name}-${id.slice(-SUFFIX_LENGTH)}` : name]));
}

/** The node that a person means: by id, or by name as shown. */
export function findNode(state: DaemonState, wanted: string): NodeId | null {
  for (const [id, name] of displayNames(state)) {
    if (id === wanted || name === wanted) return id;
  }
  for (const [id, name] of displayNames(state)) {
    if (name.toLowerCase() === wanted.toLowerCase()) return id;
  }
  return null;
}
