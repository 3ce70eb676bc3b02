import { ClusterdError, type Inventory, type LinkTable, type PlannerNode } from "@clusterd/wire";

const NODES_MAX = 10_000;
const PAIRS_MAX = 100_000;
const RTT_MS_DEFAULT = 0.5;
const BYTES_PER_SECOND_DEFAULT = 125_000_000;

/** What a person's inventory file says. Throws `usage` naming the field that is wrong. */
export function parseInventory(json: unknown): Inventory {
  const root = object(json, "the inventory");
  const nodes = array(root["nodes"], "nodes", NODES_MAX).map((value, index) => parseNode(value, `nodes[${index}]`));
  if (nodes.length === 0) throw wrong("nodes", "must name at least one machine");
  const names = new Set<string>();
  for (const { name } of nodes) {
    if (names.has(name)) throw wrong("nodes", `names ${JSON.stringify(name)} twice`);
    names.add(name);
  }
  return { nodes, links: parseLinks(root["links"], names) };
}

function parseNode(value: unknown, path: string): PlannerNode {
  const node = object(value, path);
  const name = node["name"];
  if (typeof name !== "string" || name === "") throw wrong(`${path}.name`, "must be a name");
  const canHead = node["canHead"] ?? true;
  if (typeof canHead !== "boolean") throw wrong(`${path}.canHead`, "must be true or false");
  return {
    name,
    memoryBytes: amount(node["memoryBytes"], `${path}.memoryBytes`, 0),
    bandwidthBytesPerSecond: amount(node["bandwidthBytesPerSecond"], `${path}.bandwidthBytesPerSecond`, 1),
    canHead,
    ...(node["flopsPerSecond"] === undefined
      ? {}
      : { flopsPerSecond: amount(node["flopsPerSecond"], `${path}.flopsPerSecond`, 1) }),
  };
}

function parseLinks(value: unknown, names: ReadonlySet<string>): LinkTable {
  if (value === undefined) return { rttMs: RTT_MS_DEFAULT, bytesPerSecond: BYTES_PER_SECOND_DEFAULT, pairs: [] };
  const links = object(value, "links");
  const pairs = array(links["pairs"] ?? [], "links.pairs", PAIRS_MAX).map((item, index) => {
    const path = `links.pairs[${index}]`;
    const pair = object(item, path);
    const end = (key: "a" | "b"): string => {
      const name = pair[key];
      if (typeof name !== "string" || !names.has(name)) throw wrong(`${path}.${key}`, "must name one of the nodes");
      return name;
    };
    return {
      a: end("a"),
      b: end("b"),
      rttMs: amount(pair["rttMs"] ?? RTT_MS_DEFAULT, `${path}.rttMs`, 0),
      bytesPerSecond: amount(pair["bytesPerSecond"] ?? BYTES_PER_SECOND_DEFAULT, `${path}.bytesPerSecond`, 1),
    };
  });
  return {
    rttMs: amount(links["rttMs"] ?? RTT_MS_DEFAULT, "links.rttMs", 0),
    bytesPerSecond: amount(links["bytesPerSecond"] ?? BYTES_PER_SECOND_DEFAULT, "links.bytesPerSecond", 1),
    pairs,
  };
}

function wrong(path: string, what: string): ClusterdError {
  return new ClusterdError("usage", `The inventory's ${path} ${what}.`, { param: path });
}
function object(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(path, "must be an object");
  return value as Record<string, unknown>;
}
function array(value: unknown, path: string, max: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > max) throw wrong(path, `must be a list of at most ${max}`);
  return value;
}
function amount(value: unknown, path: string, min: number): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value < min) throw wrong(path, `must be a number from ${min} on`);
  return value;
}
