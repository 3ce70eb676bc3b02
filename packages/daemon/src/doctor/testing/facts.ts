import { asNodeId, type ClusterState, type DeploymentView, type LinkView, type NodeView } from "@clusterd/wire";
import type { ClusterFacts, Facts, MachineFacts } from "../facts.ts";

const NOW_MS: number = Date.UTC(2026, 5, 1);

const shared = {
  ports: [
    { port: 2573, use: "the API and the dashboard", flag: "--api-port", state: "free" },
    { port: 2574, use: "the mesh", flag: "--mesh-port", state: "free" },
  ],
  daemon: { record: null, alive: false, answers: null, buildLock: null },
  models: { broken: [], aside: [] },
} satisfies Partial<MachineFacts>;

/** A desktop as Linux tells of it. */
export const LINUX: MachineFacts = {
  ...shared,
  runtime: { platform: "linux", arch: "x64", node: "24.21.0", translated: false },
  processor: {
    model: "AMD Ryzen 7 5800X 8-Core Processor",
    cores: 16,
    flags: ["fpu", "sse4_2", "avx", "avx2", "f16c", "fma", "bmi2"],
  },
  engine: {
    built: { llamaCpp: "v0.5.0", devices: [], localWeights: true, notes: [] },
    missing: [],
    install: null,
    error: null,
    gpuNotes: [],
  },
  memory: { totalBytes: 33_567_834_112, freeBytes: 27_917_287_424, budgetBytes: 30_211_050_700, raise: null },
  disk: { path: "/home/me/.clusterd", totalBytes: 502_392_610_816, freeBytes: 210_453_397_504 },
  interfaces: [{ name: "enp5s0", address: "192.168.1.20", wireless: false, megabitsPerSecond: 1000, multicastTrouble: null }],
  firewall: { active: null, othersSeen: false },
  clock: { nowMs: NOW_MS, synchronised: true },
  limits: { openFiles: 1_048_576, processes: 127_235, addressSpaceBytes: null },
  home: {
    path: "/home/me/.clusterd",
    exists: true,
    writable: true,
    mode: 0o700,
    owned: true,
    exposed: [],
    networkFileSystem: null,
  },
};

/** A Mac mini as macOS tells of it. */
export const MAC: MachineFacts = {
  ...shared,
  runtime: { platform: "darwin", arch: "arm64", node: "24.4.1", translated: false },
  processor: { model: "Apple M4 Pro", cores: 12, flags: null },
  engine: {
    built: { llamaCpp: "v0.5.0", devices: ["MTL0 Apple M4 Pro"], localWeights: true, notes: [] },
    missing: [],
    install: null,
    error: null,
    gpuNotes: [],
  },
  memory: { totalBytes: 51_539_607_552, freeBytes: 30_064_771_072, budgetBytes: 38_654_705_664, raise: null },
  disk: { path: "/Users/me/.clusterd", totalBytes: 494_384_795_648, freeBytes: 180_388_626_432 },
  interfaces: [{ name: "en0", address: "192.168.1.21", wireless: false, megabitsPerSecond: null, multicastTrouble: null }],
  firewall: { active: null, othersSeen: false },
  clock: { nowMs: NOW_MS, synchronised: null },
  limits: { openFiles: null, processes: 4_000, addressSpaceBytes: null },
  home: {
    path: "/Users/me/.clusterd",
    exists: true,
    writable: true,
    mode: 0o700,
    owned: true,
    exposed: [],
    networkFileSystem: null,
  },
};

/** A gaming PC as Windows tells of it. */
export const WINDOWS: MachineFacts = {
  ...shared,
  runtime: { platform: "win32", arch: "x64", node: "24.11.0", translated: false },
  processor: { model: "Intel(R) Core(TM) i7-12700K", cores: 20, flags: null },
  engine: {
    built: { llamaCpp: "v0.5.0", devices: ["CUDA0 NVIDIA GeForce RTX 4090"], localWeights: true, notes: [] },
    missing: [],
    install: null,
    error: null,
    gpuNotes: [],
  },
  memory: { totalBytes: 34_208_559_104, freeBytes: 23_000_000_000, budgetBytes: 23_000_000_000, raise: null },
  disk: { path: "C:\\Users\\me\\.clusterd", totalBytes: 999_240_474_624, freeBytes: 400_123_456_789 },
  interfaces: [{ name: "Ethernet", address: "192.168.1.22", wireless: null, megabitsPerSecond: null, multicastTrouble: null }],
  firewall: { active: null, othersSeen: false },
  clock: { nowMs: NOW_MS, synchronised: null },
  limits: { openFiles: null, processes: null, addressSpaceBytes: null },
  home: {
    path: "C:\\Users\\me\\.clusterd",
    exists: true,
    writable: true,
    mode: null,
    owned: true,
    exposed: [],
    networkFileSystem: null,
  },
};

export function link(to: string, changes: Partial<LinkView> = {}): LinkView {
  return { to: asNodeId(to), rttMs: 0.4, rttMsMin: 0.3, bytesPerSecond: 112e6, measuredAt: NOW_MS - 3_600_000, ...changes };
}

export function node(name: string, changes: Partial<NodeView> = {}): NodeView {
  return {
    id: asNodeId(name),
    name,
    state: "alive",
    version: "0.1.0",
    device: {
      platform: "linux-x64",
      chip: "x",
      memoryBytesTotal: 32e9,
      memoryBytesFree: 16e9,
      memoryBytesBudget: 28e9,
      bandwidthBytesPerSecond: 40e9,
      bandwidthSource: "probe",
      accelerators: [],
    },
    links: [],
    draining: false,
    engine: { fingerprint: "f", rpcProtocol: "7.0.0", llamaCpp: "v0.5.0" },
    disk: { totalBytes: 500e9, freeBytes: 200e9, usedBytes: 1e9, capBytes: null },
    ...changes,
  };
}

/** Three nodes with good links, and this one the first. */
export function cluster(
  nodes: readonly NodeView[] = [
    node("a", { links: [link("b"), link("c")] }),
    node("b", { links: [link("a"), link("c")] }),
    node("c", { links: [link("a"), link("b")] }),
  ],
  changes: Partial<ClusterState> = {},
): ClusterFacts {
  const state: ClusterState = {
    cluster: { id: "1", name: "home", open: false },
    self: asNodeId("a"),
    standing: { kind: "member", code: null },
    nodes,
    deployments: [],
    pending: [],
    models: [],
    ...changes,
  };
  return { state, nowMs: NOW_MS, reach: nodes.slice(1).map(({ id }) => ({ node: id, trouble: null })) };
}

export function deployment(changes: Partial<DeploymentView> = {}): DeploymentView {
  return {
    model: "demo" as DeploymentView["model"],
    aliases: [],
    state: "ready",
    reason: null,
    epoch: 1,
    head: asNodeId("a"),
    context: 8192,
    slots: 1,
    queue: { active: 0, waiting: 0, limit: 256 },
    speculation: { type: "none", draft: null, acceptance: null, active: false } as unknown as DeploymentView["speculation"],
    layerCount: 16,
    stages: [],
    predictedTokensPerSecond: 10,
    measuredTokensPerSecond: null,
    prediction: { low: 9, high: 11, promptTokens: 512, timeToFirstTokenMs: null, measuredTimeToFirstTokenMs: null, error: null },
    replan: "ask",
    proposal: null,
    ...changes,
  };
}

export const healthy = (machine: MachineFacts = LINUX): Facts => ({ ...machine, cluster: cluster() });
