import { describeAccelerator, raiseCommand } from "@clusterd/device";
import {
  placeOf,
  placeText,
  type DeploymentView,
  type DeviceInfo,
  type HeldLayers,
  type LinkTable,
  type LinkView,
  type NodeId,
  type PlannerNode,
} from "@clusterd/wire";
import { combineLinks } from "../links/combine-links.ts";

/** What is assumed of a link nobody has measured: a good home network, 1 Gbit/s. */
const ASSUMED_RTT_MS = 0.5;
const ASSUMED_BYTES_PER_SECOND = 125_000_000;
/** Between two engines of one host, through its daemon (docs/bench/tunnel.md). */
const LOOPBACK_RTT_MS = 0.2;
const LOOPBACK_BYTES_PER_SECOND = 300_000_000;

/** A member as its machine is planned with. */
export interface Machine {
  readonly id: NodeId;
  readonly device: DeviceInfo;
  readonly links: readonly LinkView[];
  /** Whether it has what a head needs. */
  readonly canHead: boolean;
  /** What it has of the model to be placed; absent: not asked. */
  readonly held?: HeldLayers;
}

/** Bytes that live deployments take on every place. */
export function memoryInUse(deployments: readonly Pick<DeploymentView, "state" | "stages">[]): ReadonlyMap<NodeId, number> {
  const used = new Map<NodeId, number>();
  for (const { state, stages } of deployments) {
    if (state === "failed") continue;
    for (const stage of stages)
      used.set(stage.node, (used.get(stage.node) ?? 0) + stage.weightBytes + stage.kvBytes + stage.bufferBytes);
  }
  return used;
}

/**
 * Every place where a stage may run, with the memory that is left there. `names`: what people call the places; `kind`: of the model to be
 * placed (`modelKind`), whose own speed is taken where a machine has decoded one like it.
 */
export function plannerNodes(
  machines: readonly Machine[],
  names: ReadonlyMap<NodeId, string>,
  used: ReadonlyMap<NodeId, number>,
  kind?: string,
): readonly PlannerNode[] {
  return machines.flatMap(({ id, device, canHead, held }) =>
    Array.from({ length: Math.max(1, device.accelerators.length) }, (_, index) => placeText({ node: id, device: index })).flatMap(
      (place, index) => {
        const part = index === 0 ? device : describeAccelerator(device, index);
        if (part === null) return [];
        const left = (bytes: number): number => Math.max(0, bytes - (used.get(place) ?? 0));
        const raisable = index === 0 ? (device.raisable ?? null) : null;
        const flops = part.flopsPerSecond ?? null;
        const decoded = index === 0 ? device.decoded?.find((entry) => entry.kind === kind) : undefined;
        return [
          {
            name: names.get(place) ?? place,
            memoryBytes: left(part.memoryBytesBudget),
            bandwidthBytesPerSecond: decoded?.bytesPerSecond ?? part.bandwidthBytesPerSecond,
            bandwidthSource: decoded === undefined ? part.bandwidthSource : "decode",
            // A head is a process of the host, with its first accelerator.
            canHead: canHead && index === 0,
            ...(held === undefined ? {} : { held }),
            ...(flops === null ? {} : { flopsPerSecond: flops }),
            ...(raisable === null
              ? {}
              : { raisable: { memoryBytes: left(raisable.memoryBytes), how: raiseCommand(raisable.wiredLimitMb) } }),
          },
        ];
      },
    ),
  );
}

/** What the machines have measured of the wires between them; what nobody has, as on a good home network. */
export function linkTable(machines: readonly Pick<Machine, "id" | "links">[], names: ReadonlyMap<NodeId, string>): LinkTable {
  const measured = new Map<string, { readonly a: string; readonly b: string; readonly links: LinkView[] }>();
  for (const { id, links } of machines) {
    for (const link of links) {
      const [from, to] = [names.get(id), names.get(link.to)];
      if (from === undefined || to === undefined) continue;
      const [a, b] = from < to ? [from, to] : [to, from];
      const pair = measured.get(`${a}\n${b}`) ?? { a, b, links: [] };
      pair.links.push(link);
      measured.set(`${a}\n${b}`, pair);
    }
  }
  const pairs = [...measured.values()].map(({ a, b, links }) => ({ a, b, ...combineLinks(links, ASSUMED_BYTES_PER_SECOND) }));
  return {
    rttMs: ASSUMED_RTT_MS,
    bytesPerSecond: ASSUMED_BYTES_PER_SECOND,
    pairs: [...pairs, ...deviceLinks([...names.values()], pairs)],
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
