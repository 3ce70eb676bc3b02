import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { knownModels, knownProfileOf } from "@clusterd/catalog";
import { plan } from "@clusterd/planner";
import { asNodeId, type ClusterState, type Inventory, type NodeView } from "@clusterd/wire";
import { afterAll, describe, expect, test } from "vitest";
import { liveInventory, planOffline, whatFits } from "./index.ts";

const signal = AbortSignal.timeout(120_000);
const folder = await mkdtemp(join(tmpdir(), "clusterd-offline-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

const machines = (count: number, memoryBytes: number, bandwidthBytesPerSecond = 200e9): Inventory => ({
  nodes: Array.from({ length: count }, (_, index) => ({
    name: `m${index + 1}`,
    memoryBytes,
    bandwidthBytesPerSecond,
    canHead: true,
  })),
  links: { rttMs: 0.5, bytesPerSecond: 1.25e8, pairs: [] },
});

describe("what fits", () => {
  test("is every model there is a placement for, the largest first, as the planner says of each", async () => {
    const inventory = machines(3, 24e9);
    const told: number[] = [];
    const { fits, doesNotFit } = await whatFits(inventory, {}, (done) => told.push(done), signal);
    expect(fits.length + doesNotFit.length).toBe(knownModels().length);
    expect(told.at(-1)).toBe(knownModels().length);
    expect(fits.map((model) => model.parameters)).toEqual(fits.map((model) => model.parameters).toSorted((a, b) => b - a));
    for (const found of fits.slice(0, 4)) {
      const profile = knownProfileOf(`${found.model}:${found.quantisation}`);
      if (profile === null) throw new Error(found.model);
      const result = plan({
        model: profile,
        ...inventory,
        objective: "latency",
        context: found.context,
        slots: 1,
        kv: "f16",
        pins: [],
        without: [],
      });
      expect(result).toMatchObject({ feasible: true, head: found.head, predicted: { msPerToken: found.msPerToken } });
      expect(found).toMatchObject({ bytes: profile.fileBytes, useful: true });
      expect(found.memoryBytes).toBeLessThanOrEqual(72e9);
    }
    // 72 GB hold no half of 671 billion.
    const missing = doesNotFit.find((model) => model.model === "deepseek-v3");
    expect(missing).toMatchObject({ quantisation: "IQ2_XXS" });
    expect(missing?.shortByBytes).toBeGreaterThan(90e9);
  });

  test("are quantisations that really fit, the best being the most precise at a useful speed", async () => {
    const inventory = machines(1, 40e9);
    const { fits } = await whatFits(inventory, {}, () => undefined, signal);
    const found = fits.find((model) => model.model === "qwen3-32b");
    expect(found?.quantisation).toBe("Q8_0");
    expect(found?.others).toContain("Q4_K_M");
    expect(found?.others).not.toContain("BF16");
    // A tenth of the bandwidth: eight bits would be slower than a token per second, fewer are not.
    const slow = await whatFits(machines(1, 40e9, 20e9), {}, () => undefined, signal);
    const careful = slow.fits.find((model) => model.model === "qwen3-32b");
    expect(careful?.useful).toBe(true);
    expect(careful?.quantisation).not.toBe("Q8_0");
    expect(careful?.others).toContain("Q8_0");
  });

  test("is nothing on a machine with no memory, and an interrupt is heard", async () => {
    const { fits, doesNotFit } = await whatFits(machines(1, 1e8), {}, () => undefined, signal);
    expect(fits).toEqual([]);
    expect(doesNotFit.every((model) => model.shortByBytes > 0)).toBe(true);
    await expect(whatFits(machines(1, 1e8), {}, () => undefined, AbortSignal.abort())).rejects.toThrow(/abort/iu);
  });
});

describe("a plan for an inventory file", () => {
  const inventoryFile = join(folder, "inventory.json");

  test("takes a catalogued name, tells alternatives, and none of a name that is near", async () => {
    await writeFile(inventoryFile, JSON.stringify(machines(3, 24e9)));
    const result = await planOffline({ ref: "Qwen3-32B:q8_0", inventoryFile, home: join(folder, "home"), top: 2, signal });
    if (!result.feasible) throw new Error("refused");
    expect(result.model).toMatchObject({ name: "qwen3-32b:Q8_0", layerCount: 64 });
    expect(result.alternatives).toHaveLength(2);
    expect(result.predicted.timeToFirstTokenMs).toBeNull();
    await expect(planOffline({ ref: "qwen3-33b", inventoryFile, home: join(folder, "home"), signal })).rejects.toMatchObject({
      code: "not_found",
      next: expect.stringContaining("qwen3-32b"),
    });
  });
});

test("a machine that says what it computes has a time to its first token, longer for a longer prompt", async () => {
  const inventoryFile = join(folder, "computing.json");
  const [machine] = machines(1, 24e9).nodes;
  await writeFile(inventoryFile, JSON.stringify({ nodes: [{ ...machine, flopsPerSecond: 1e12 }] }));
  const first = async (promptTokens: number): Promise<number> => {
    const result = await planOffline({ ref: "qwen3-8b", inventoryFile, home: join(folder, "home"), promptTokens, signal });
    return result.feasible ? (result.predicted.timeToFirstTokenMs ?? 0) : 0;
  };
  expect(await first(100)).toBeGreaterThan(0);
  expect(await first(4000)).toBeGreaterThan(await first(100));
});

test("a running cluster's machines have what its deployments leave, and further accelerators beside them", () => {
  const node = (name: string, over: Partial<NodeView> = {}): NodeView => ({
    id: asNodeId(`id-${name}`),
    name,
    state: "alive",
    version: "1",
    device: {
      platform: "linux-x64",
      chip: "chip",
      memoryBytesTotal: 16e9,
      memoryBytesFree: 12e9,
      memoryBytesBudget: 12e9,
      bandwidthBytesPerSecond: 50e9,
      bandwidthSource: "probe",
      accelerators: [],
    },
    links: [],
    draining: false,
    engine: { fingerprint: "", rpcProtocol: "", llamaCpp: "" },
    ...over,
  });
  const a = node("a", { links: [{ to: asNodeId("id-b"), rttMs: 3, bytesPerSecond: 1e7 }] });
  const plainB = node("b");
  const b = {
    ...plainB,
    device: { ...plainB.device, accelerators: [1, 2].map((n) => ({ name: `GPU ${n}`, memoryBytes: 8e9 })) },
  };
  const stage = { node: asNodeId("id-a"), weightBytes: 2e9, kvBytes: 1e9, bufferBytes: 1e9 };
  const deployments = [
    { state: "ready", stages: [stage] },
    { state: "failed", stages: [stage] },
  ] as unknown as ClusterState["deployments"];
  const inventory = liveInventory({
    nodes: [a, b, node("gone", { state: "left" }), node("off", { draining: true })],
    deployments,
  });
  expect(inventory.nodes.map(({ name, memoryBytes, canHead }) => [name, canHead, name === "b#1" || memoryBytes])).toEqual([
    ["a", true, 8e9],
    ["b", true, 12e9],
    ["b#1", false, true],
  ]);
  expect(inventory.nodes[0]).toMatchObject({ bandwidthSource: "probe" });
  const link = (from: string, to: string) => inventory.links.pairs.find((pair) => pair.a === from && pair.b === to);
  // What the way through the daemons adds is small beside a wire of three milliseconds.
  expect(Math.floor(link("a", "b")?.rttMs ?? 0)).toBe(3);
  expect(link("a", "b")?.bytesPerSecond).toBe(1e7);
  expect(link("b", "b#1")?.rttMs).toBeLessThan(1);
});
