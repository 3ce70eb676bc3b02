import { describeAccelerator } from "@clusterd/device";
import { plan } from "@clusterd/planner";
import {
  ClusterdError,
  placeOf,
  placeText,
  type ContentId,
  type DeploymentId,
  type LinkTable,
  type ModelProfile,
  type NodeId,
  type Placement,
  type PlannerNode,
  type PlanRequest,
  type PlanResult,
} from "@clusterd/wire";
import type { DaemonState, PlanWish } from "../state/daemon-state.ts";
import { placeNames } from "../state/names.ts";
import { usedMemory } from "./used-memory.ts";

/** What is assumed of a link nobody has measured: a good home network, 1 Gbit/s. */
export const ASSUMED_RTT_MS = 0.5;
export const ASSUMED_BYTES_PER_SECOND = 125_000_000;
/** Between two engines of one host, through its daemon (docs/bench/tunnel.md). */
const LOOPBACK_RTT_MS = 0.2;
const LOOPBACK_BYTES_PER_SECOND = 300_000_000;

/** The plan for a model on the cluster as it is now, nodes by the names people see. */
export function planForCluster(
  state: DaemonState,
  model: ModelProfile,
  wish: PlanWish,
  replacing: ReadonlySet<DeploymentId>,
): PlanResult {
  const names = placeNames(state);
  const nameOf = (id: NodeId): string => names.get(id) ?? id;
  // The head has the draft model beside the model.
  const files = [model.contentId, ...(wish.draft === null ? [] : [wish.draft.contentId])];
  const request: PlanRequest = {
    model,
    nodes: plannerNodes(state, files, names, replacing),
    links: linkTable(state, names),
    objective: wish.objective,
    ...(wish.context === null ? {} : { context: wish.context }),
    slots: wish.slots,
    kv: wish.kv,
    speculation: wish.speculation,
    ...(wish.draft === null ? {} : { draft: wish.draft }),
    ...(wish.head === null ? {} : { head: nameOf(wish.head) }),
    pins: wish.pins.map((pin) => ({ ...pin, node: nameOf(pin.node) })),
    without: [...names]
      .filter(([id]) => wish.without.includes(placeOf(id).node) || wish.without.includes(id))
      .map(([, name]) => name),
  };
  return plan(request);
}

/** The same placement with nodes by their ids, as it is deployed. */
export function withNodeIds(state: DaemonState, placement: Placement): Placement {
  const ids = new Map([...placeNames(state)].map(([id, name]) => [name, id]));
  const idOf = (name: string): NodeId => {
    const id = ids.get(name);
    if (id === undefined)
      throw new ClusterdError("not_found", `The plan names a node that is gone: ${name}.`, { next: "Plan again." });
    return id;
  };
  return {
    ...placement,
    head: idOf(placement.head),
    stages: placement.stages.map((stage) => ({ ...stage, node: idOf(stage.node) })),
  };
}

function plannerNodes(
  state: DaemonState,
  files: readonly ContentId[],
  names: ReadonlyMap<NodeId, string>,
  replacing: ReadonlySet<DeploymentId>,
): readonly PlannerNode[] {
  const used = usedMemory(state, replacing);
  const nodes: PlannerNode[] = [];
  const add = (id: NodeId, facts: Pick<DaemonState["own"], "device" | "models" | "draining">): void => {
    if (facts.draining) return;
    nodes.push({
      name: names.get(id) ?? id,
      memoryBytes: Math.max(0, facts.device.memoryBytesBudget - (used.get(id) ?? 0)),
      bandwidthBytesPerSecond: facts.device.bandwidthBytesPerSecond,
      canHead: files.every((file) => facts.models.some((model) => model.contentId === file)),
    });
    for (let device = 1; device < facts.device.accelerators.length; device++) {
      const place = placeText({ node: id, device });
      const accelerator = describeAccelerator(facts.device, device);
      if (accelerator === null) continue;
      nodes.push({
        name: names.get(place) ?? place,
        memoryBytes: Math.max(0, accelerator.memoryBytesBudget - (used.get(place) ?? 0)),
        bandwidthBytesPerSecond: accelerator.bandwidthBytesPerSecond,
        // A head is a process of the host, with its first accelerator.
        canHead: false,
      });
    }
  };
  add(state.self, state.own);
  for (const [id, other] of state.others) if (other.state === "alive") add(id, other.advert);
  return nodes;
}

function linkTable(state: DaemonState, names: ReadonlyMap<NodeId, string>): LinkTable {
  const pairs = new Map<string, LinkTable["pairs"][number]>();
  const add = (from: NodeId, links: DaemonState["own"]["links"]): void => {
    for (const link of links) {
      const a = names.get(from);
      const b = names.get(link.to);
      if (a === undefined || b === undefined) continue;
      const [first, second] = a < b ? [a, b] : [b, a];
      const known = pairs.get(`${first}\n${second}`);
      pairs.set(`${first}\n${second}`, {
        a: first,
        b: second,
        // Both ends measure the same wire: the smaller figure is the one with less of their own load in it.
        rttMs: Math.min(known?.rttMs ?? Infinity, link.rttMs),
        bytesPerSecond: Math.max(
          known?.bytesPerSecond ?? 0,
          link.bytesPerSecond > 0 ? link.bytesPerSecond : ASSUMED_BYTES_PER_SECOND,
        ),
      });
    }
  };
  add(state.self, state.own.links);
  for (const [id, other] of state.others) add(id, other.advert.links);
  return {
    rttMs: ASSUMED_RTT_MS,
    bytesPerSecond: ASSUMED_BYTES_PER_SECOND,
    pairs: [...pairs.values(), ...deviceLinks([...names.values()], [...pairs.values()])],
  };
}

/** A host's further accelerators are reached as it is, and by it itself over its own loopback. */
function deviceLinks(places: readonly string[], pairs: LinkTable["pairs"]): LinkTable["pairs"] {
  return places.flatMap((a) =>
    places
      .filter((b) => a < b && (placeOf(a).device > 0 || placeOf(b).device > 0))
      .flatMap((b) => {
        const [hostA, hostB] = [placeOf(a).node, placeOf(b).node];
        if (hostA === hostB) return [{ a, b, rttMs: LOOPBACK_RTT_MS, bytesPerSecond: LOOPBACK_BYTES_PER_SECOND }];
        const link = pairs.find((pair) => (pair.a === hostA && pair.b === hostB) || (pair.a === hostB && pair.b === hostA));
        return link === undefined ? [] : [{ ...link, a, b }];
      }),
  );
}
