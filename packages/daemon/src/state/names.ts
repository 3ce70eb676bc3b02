import { placeText, type NodeId } from "@clusterd/wire";
import type { DaemonState } from "./daemon-state.ts";

/** Length of the id's tail that tells two nodes of one name apart. */
const SUFFIX_LENGTH = 6;

/** Every node's name as people see it: its own, with the tail of its id where several bear the same. */
export function displayNames(state: DaemonState): ReadonlyMap<NodeId, string> {
  // `#` tells a host's accelerators apart.
  const plain = (name: string): string => name.replaceAll("#", "-");
  const own = new Map<NodeId, string>([[state.self, plain(state.own.name)]]);
  for (const [id, other] of state.others) own.set(id, plain(other.advert.name));
  const count = new Map<string, number>();
  for (const name of own.values()) count.set(name, (count.get(name) ?? 0) + 1);
  return new Map([...own].map(([id, name]) => [id, (count.get(name) ?? 0) > 1 ? `${name}-${id.slice(-SUFFIX_LENGTH)}` : name]));
}

/** The names of all places where a stage may run: every node, and `pc#1` for a host's second accelerator. */
export function placeNames(state: DaemonState): ReadonlyMap<NodeId, string> {
  const places = new Map<NodeId, string>();
  for (const [node, name] of displayNames(state)) {
    const { accelerators } = node === state.self ? state.own.device : (state.others.get(node)?.advert ?? state.own).device;
    places.set(node, name);
    for (let device = 1; device < accelerators.length; device++)
      places.set(placeText({ node, device }), placeText({ node: name, device }));
  }
  return places;
}

/** The node that a person means: by id, or by name as shown. */
export function findNode(state: DaemonState, wanted: string): NodeId | null {
  return findIn(displayNames(state), wanted);
}

/** The place that a person means. */
export function findPlace(state: DaemonState, wanted: string): NodeId | null {
  return findIn(placeNames(state), wanted);
}

function findIn(names: ReadonlyMap<NodeId, string>, wanted: string): NodeId | null {
  for (const [id, name] of names) {
    if (id === wanted || name === wanted) return id;
  }
  for (const [id, name] of names) {
    if (name.toLowerCase() === wanted.toLowerCase()) return id;
  }
  return null;
}
