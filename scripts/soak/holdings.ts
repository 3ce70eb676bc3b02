import type { Cluster } from "../../test/cluster/harness/cluster.ts";
import { enginesOf, usageOf } from "../../test/cluster/harness/processes.ts";

/** What a daemon or an engine holds while a model answers. */
export interface Holding {
  /** The node's name, and the engine's where it is one. */
  readonly process: string;
  readonly descriptors: number;
  readonly residentMiB: number;
}

/** Of every daemon and every engine, in the nodes' order. */
export function holdingsOf(cluster: Cluster): readonly Holding[] {
  return cluster.nodes.flatMap(({ host, pid }) => [
    holding(host.name, pid),
    ...enginesOf(pid).map((engine) =>
      holding(`${host.name}: ${/(llama|rpc)-server/.exec(engine.args)?.[0] ?? "engine"}`, engine.pid),
    ),
  ]);
}

function holding(process: string, pid: number): Holding {
  try {
    const { descriptors, residentBytes } = usageOf(pid);
    return { process, descriptors, residentMiB: Math.round(residentBytes / 1024 / 1024) };
  } catch {
    // Ended between the listing and the look.
    return { process, descriptors: 0, residentMiB: 0 };
  }
}

/** As rows of a table, one a process: what it held at each of the looks. */
export function holdingLines(looks: readonly (readonly Holding[])[]): readonly string[] {
  const names = [...new Set(looks.flatMap((look) => look.map(({ process }) => process)))];
  const cells = (name: string, of: (each: Holding) => number): string =>
    looks
      .map((look) => look.find(({ process }) => process === name))
      .map((each) => (each === undefined ? "-" : of(each)))
      .join(", ");
  return [
    "| process | descriptors: start, middle, end | MiB: start, middle, end |",
    "| --- | --- | --- |",
    ...names.map(
      (name) => `| ${name} | ${cells(name, (each) => each.descriptors)} | ${cells(name, (each) => each.residentMiB)} |`,
    ),
  ];
}
