import type { FindingLevel } from "../check.ts";
import type { Facts } from "../facts.ts";
import { cluster, deployment, LINUX, link, MAC, node } from "./facts.ts";

/** A fault alone, and what its check says of it. */
export type FaultRow = readonly [check: string, level: FindingLevel, words: RegExp, facts: Partial<Facts>];
const apple = (changes: Partial<Facts["engine"]["built"] & object>): Facts["engine"] => ({
  ...MAC.engine,
  built: { llamaCpp: "v0.5.0", devices: [], localWeights: true, notes: [], ...changes },
});

/** Each with what is wrong about it alone. */
export const FAULTS: readonly FaultRow[] = [
  ["node", "wrong", /Node 20\.9\.0/, { runtime: { ...LINUX.runtime, node: "20.9.0" } }],
  ["node", "wrong", /translated/, { runtime: { ...MAC.runtime, arch: "x64", translated: true } }],
  [
    "engine",
    "wrong",
    /CMake, a C\+\+17 compiler/,
    { engine: { ...LINUX.engine, built: null, missing: ["CMake", "a C++17 compiler"] } },
  ],
  ["engine", "hint", /not built yet/, { engine: { ...LINUX.engine, built: null } }],
  ["engine", "wrong", /no engine in \/x/, { engine: { ...LINUX.engine, built: null, error: "There is no engine in /x." } }],
  ["gpu", "hint", /NVIDIA/, { engine: { ...LINUX.engine, gpuNotes: ["An NVIDIA card is here but CUDA is not."] } }],
  ["gpu", "hint", /no GPU on this Apple/, { runtime: MAC.runtime, engine: apple({ devices: [] }), processor: MAC.processor }],
  ["processor", "hint", /avx2 and fma/, { processor: { ...LINUX.processor, flags: ["sse4_2"] } }],
  [
    "processor",
    "hint",
    /asimddp/,
    { runtime: { ...LINUX.runtime, arch: "arm64" }, processor: { model: "Cortex-A72", cores: 4, flags: ["fp", "asimd"] } },
  ],
  ["processor", "hint", /one processor core/, { processor: { ...LINUX.processor, cores: 1 } }],
  ["memory", "hint", /2\.0 GB of memory are free/, { memory: { ...LINUX.memory, freeBytes: 2e9 } }],
  ["memory", "hint", /1\.0 GB of memory/, { memory: { totalBytes: 1e9, freeBytes: 5e8, budgetBytes: 7e8, raise: null } }],
  ["memory", "hint", /lets the GPU have/, { memory: { ...MAC.memory, raise: { memoryBytes: 46e9, command: "sudo sysctl x" } } }],
  ["disk", "wrong", /500 MB of/, { disk: { ...LINUX.disk, freeBytes: 5e8 } }],
  ["disk", "hint", /9\.0 GB of/, { disk: { ...LINUX.disk, freeBytes: 9e9 } }],
  ["limits", "wrong", /256 files/, { limits: { ...LINUX.limits, openFiles: 256 } }],
  ["limits", "hint", /1024 files/, { limits: { ...LINUX.limits, openFiles: 1_024 } }],
  ["limits", "wrong", /64 processes/, { limits: { ...LINUX.limits, processes: 64 } }],
  ["limits", "wrong", /may address/, { limits: { ...LINUX.limits, addressSpaceBytes: 8e9 } }],
  ["clock", "wrong", /1970-01-01/, { clock: { nowMs: 0, synchronised: null } }],
  ["clock", "hint", /not set over the network/, { clock: { ...LINUX.clock, synchronised: false } }],
  ["home", "wrong", /cannot be written/, { home: { ...LINUX.home, writable: false } }],
  ["home", "wrong", /others may write/, { home: { ...LINUX.home, mode: 0o777 } }],
  ["home", "wrong", /read a secret/, { home: { ...LINUX.home, exposed: ["/home/me/.clusterd/cluster.json"] } }],
  ["home", "hint", /nfs4/, { home: { ...LINUX.home, networkFileSystem: "nfs4" } }],
  [
    "daemon",
    "hint",
    /ended without/,
    { daemon: { ...LINUX.daemon, record: { pid: 7, api: "http://127.0.0.1:1", startedAt: "then" } } },
  ],
  [
    "daemon",
    "wrong",
    /does not answer/,
    {
      daemon: { ...LINUX.daemon, alive: true, answers: false, record: { pid: 7, api: "http://127.0.0.1:1", startedAt: "then" } },
    },
  ],
  ["daemon", "hint", /left behind/, { daemon: { ...LINUX.daemon, buildLock: { path: "/c/x.lock", pid: 7, alive: false } } }],
  ["daemon", "hint", /is building/, { daemon: { ...LINUX.daemon, buildLock: { path: "/c/x.lock", pid: 7, alive: true } } }],
  ["models", "wrong", /too short/, { models: { broken: [{ path: "/m.gguf", message: "The file is too short." }], aside: [] } }],
  ["models", "hint", /put aside/, { models: { broken: [], aside: ["/m.gguf.quarantined"] } }],
  [
    "ports",
    "wrong",
    /2573 is taken/,
    { ports: LINUX.ports.map((port) => (port.port === 2573 ? { ...port, state: "taken" } : port)) },
  ],
  [
    "ports",
    "wrong",
    /may not listen/,
    { ports: LINUX.ports.map((port) => (port.port === 2574 ? { ...port, state: "forbidden" } : port)) },
  ],
  ["network", "hint", /no network/, { interfaces: [] }],
  [
    "network",
    "hint",
    /Wi-Fi alone/,
    { interfaces: LINUX.interfaces.map((one) => ({ ...one, wireless: true, megabitsPerSecond: null })) },
  ],
  ["network", "hint", /100 Mbit/, { interfaces: LINUX.interfaces.map((one) => ({ ...one, megabitsPerSecond: 100 })) }],
  ["mdns", "wrong", /EPERM/, { interfaces: LINUX.interfaces.map((one) => ({ ...one, multicastTrouble: "EPERM (send)" })) }],
  ["firewall", "hint", /\(ufw\) is on/, { firewall: { active: "ufw", othersSeen: false } }],
  ["firewall", "hint", /of Windows is on/, { firewall: { active: "Windows", othersSeen: false } }],
  [
    "membership",
    "wrong",
    /waits to be let in/,
    { cluster: cluster([node("a")], { standing: { kind: "pending", code: "123-456" } }) },
  ],
  ["membership", "wrong", /in no cluster/, { cluster: cluster([node("a")], { standing: { kind: "looking", code: null } }) }],
  ["members", "wrong", /does not answer$/, { cluster: cluster([node("a"), node("b", { state: "suspect" })]) }],
  ["members", "hint", /has left/, { cluster: cluster([node("a"), node("b", { state: "left" })]) }],
  ["members", "wrong", /too long/, { cluster: { ...cluster(), reach: [{ node: node("b").id, trouble: "it takes too long" }] } }],
  [
    "versions",
    "wrong",
    /RPC protocol 6\.9\.0/,
    {
      cluster: cluster([
        node("a"),
        node("b"),
        node("c", { engine: { fingerprint: "g", rpcProtocol: "6.9.0", llamaCpp: "b8100" } }),
      ]),
    },
  ],
  [
    "versions",
    "hint",
    /llama\.cpp b8100/,
    {
      cluster: cluster([
        node("a"),
        node("b"),
        node("c", { engine: { fingerprint: "g", rpcProtocol: "7.0.0", llamaCpp: "b8100" } }),
      ]),
    },
  ],
  ["versions", "hint", /clusterd 0\.0\.9/, { cluster: cluster([node("a"), node("b"), node("c", { version: "0.0.9" })]) }],
  [
    "disks",
    "hint",
    /5\.0 GB of 500 GB/,
    { cluster: cluster([node("a"), node("b", { disk: { totalBytes: 500e9, freeBytes: 5e9, usedBytes: 0, capBytes: null } })]) },
  ],
  [
    "disks",
    "wrong",
    /10\.0 MB of/,
    { cluster: cluster([node("a"), node("b", { disk: { totalBytes: 500e9, freeBytes: 1e7, usedBytes: 0, capBytes: null } })]) },
  ],
  ["draining", "hint", /draining/, { cluster: cluster([node("a"), node("b", { draining: true })]) }],
  [
    "clocks",
    "hint",
    /60 min or more ahead/,
    { cluster: cluster([node("a"), node("b", { links: [link("a", { measuredAt: LINUX.clock.nowMs + 3_600_000 })] })]) },
  ],
  [
    "one-way",
    "wrong",
    /a cannot open tunnels to b/,
    {
      cluster: cluster([
        node("a", { links: [link("b", { bytesPerSecond: 0, measuredAt: null })] }),
        node("b", { links: [link("a")] }),
      ]),
    },
  ],
  [
    "links",
    "hint",
    /carries 5\.0 MB\/s/,
    {
      cluster: cluster([
        node("a", { links: [link("b", { bytesPerSecond: 5e6 })] }),
        node("b", { links: [link("a", { bytesPerSecond: 6e6 })] }),
      ]),
    },
  ],
  [
    "links",
    "hint",
    /takes 21\.0 ms/,
    {
      cluster: cluster([
        node("a", { links: [link("b", { rttMs: 21, rttMsMin: 20.5 })] }),
        node("b", { links: [link("a", { rttMs: 22, rttMsMin: 20.5 })] }),
      ]),
    },
  ],
  [
    "asymmetry",
    "hint",
    /30\.0 MB\/s, the other way 112 MB\/s/,
    { cluster: cluster([node("a", { links: [link("b", { bytesPerSecond: 30e6 })] }), node("b", { links: [link("a")] })]) },
  ],
  [
    "jitter",
    "hint",
    /vary as over Wi-Fi/,
    { cluster: cluster([node("a", { links: [link("b", { rttMs: 4.5, rttMsMin: 1.2 })] }), node("b", { links: [link("a")] })]) },
  ],
  [
    "deployments",
    "wrong",
    /it failed: does_not_fit/,
    { cluster: cluster(undefined, { deployments: [deployment({ state: "failed", reason: "does_not_fit: short by 2 GB" })] }) },
  ],
  [
    "deployments",
    "hint",
    /started again/,
    { cluster: cluster(undefined, { deployments: [deployment({ state: "recovering", reason: "b was lost" })] }) },
  ],
  [
    "placement",
    "hint",
    /40 % faster/,
    {
      cluster: cluster(undefined, {
        deployments: [deployment({ proposal: { head: node("a").id, stages: [], msDeployed: 14, msProposed: 10, gain: 0.4 } })],
      }),
    },
  ],
  [
    "pace",
    "hint",
    /takes 25\.0 ms a token; 10\.0/,
    { cluster: cluster(undefined, { deployments: [deployment({ stages: [slowStage(25)] })] }) },
  ],
];

/** A stage that takes so long for a token, where 10 ms were predicted. */
export function slowStage(measuredMsPerToken: number): Facts["cluster"]["state"]["deployments"][number]["stages"][number] {
  const ms = { p50: 1, p95: 2 };
  return {
    node: node("b").id,
    firstLayer: 0,
    lastLayer: 3,
    weightBytes: 1,
    activeBytes: 1,
    kvBytes: 0,
    bufferBytes: 0,
    predictedMsPerToken: 10,
    measuredMsPerToken,
    timing: {
      steps: 200,
      tokensPerStep: 1,
      computeMs: ms,
      wireMs: ms,
      idleMs: ms,
      bytesUp: 1,
      bytesDown: 1,
      tokensPerSecond: 1,
      encrypted: true,
    },
    progress: 1,
  };
}
