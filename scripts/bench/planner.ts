import { parseArgs } from "node:util";
import { plan } from "../../packages/planner/src/index.ts";
import {
  asContentId,
  asModelId,
  type ModelProfile,
  type Objective,
  type PlannerNode,
  type PlanRequest,
} from "../../packages/wire/src/index.ts";
import { describeMachine, median } from "./machine.ts";

/** How long planning takes, what it looks at, and how far from proven it is. Processor time: other programs may be running. */

const LAYERS = 94;
const KINDS = ["alike", "some heavier", "some with a cache"] as const;
type Kind = (typeof KINDS)[number];

const { values } = parseArgs({ options: { rounds: { type: "string", default: "15" } } });
const rounds = Number(values.rounds);

/** The same numbers from 0 to 1 for the same seed (Mulberry32). */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Layers as of one quantisation; as of a mixture, where the first and last eighth and every third between have an eighth more; with a cache in every sixth. */
function modelOf(kind: Kind, bytes: number): ModelProfile {
  const layerBytes = bytes / LAYERS;
  return {
    id: asModelId("m"),
    contentId: asContentId("c"),
    name: "m",
    architecture: "llama",
    quantisation: "Q4_K_M",
    fileBytes: bytes,
    contextMax: 131_072,
    vocabularySize: 150_000,
    embeddingLength: 4096,
    vocabulary: null,
    nextTokenLayers: 0,
    activations: {
      f16Cache: 32_768,
      quantisedCache: 32_768,
      worker: 32_768,
      recurrent: 0,
      unfused: { head: 2048, worker: 1024, rows: 8, values: 256, copied: 0 },
    },
    layers: Array.from({ length: LAYERS }, (_, index) => {
      const end = index < LAYERS / 8 || index >= (LAYERS * 7) / 8;
      const heavier = kind === "some heavier" && (end || index % 3 === 2);
      const weightBytes = layerBytes * (heavier ? 1.125 : 1);
      return {
        weightBytes,
        activeBytes: weightBytes * 0.3,
        activeParameters: layerBytes * 0.3,
        kvElementsPerToken: kind === "some with a cache" && index % 6 !== 5 ? 0 : 4096,
        kvWindowTokens: null,
        stateBytes: 0,
      };
    }),
    inputBytes: 0.6e9,
    outputBytes: 0.6e9,
    hiddenBytes: 16_384,
  };
}

/** Machines of 4 to 24 GB and 30 to 400 GB/s, or all of 12 GB and 120 GB/s, and a model that takes that share of sixteen of them. */
function requestOf(kind: Kind, seed: number, count: number, same: boolean, share: number, objective: Objective): PlanRequest {
  const random = numbers(seed);
  const nodes: PlannerNode[] = Array.from({ length: count }, (_, index) => ({
    name: `n${index}`,
    memoryBytes: same ? 12e9 : (4 + 20 * random()) * 1e9,
    bandwidthBytesPerSecond: same ? 120e9 : (30 + 370 * random()) * 1e9,
    canHead: true,
  }));
  const bytes = share * nodes.slice(0, 16).reduce((sum, node) => sum + node.memoryBytes, 0);
  const links = { rttMs: 0.5, bytesPerSecond: 125e6, pairs: [] };
  return { model: modelOf(kind, bytes), nodes, links, objective, context: 8192, slots: 1, kv: "f16", pins: [], without: [] };
}

interface Row {
  readonly what: string;
  readonly make: (seed: number) => PlanRequest;
  readonly rounds: number;
}

const rows: Row[] = [];
for (const kind of KINDS)
  for (const same of [false, true])
    for (const share of [0.3, 0.6]) {
      const what = `16 ${same ? "alike" : "different"}, layers ${kind}, ${share * 100} % full`;
      rows.push({ what, make: (seed) => requestOf(kind, seed, 16, same, share, "latency"), rounds });
    }
for (const objective of ["throughput", "spread"] as const)
  for (const kind of KINDS.slice(0, 2))
    rows.push({
      what: `16 different, layers ${kind}, 60 % full, ${objective}`,
      make: (seed) => requestOf(kind, seed, 16, false, 0.6, objective),
      rounds,
    });
for (const kind of KINDS.slice(0, 2))
  rows.push({
    what: `1,000 different, layers ${kind}`,
    make: (seed) => requestOf(kind, seed, 1000, false, 0.6, "latency"),
    rounds: Math.ceil(rounds / 3),
  });

// The engine compiles what it runs often: the first plans are of nothing but that.
for (let seed = 1; seed <= 6; seed++) for (const kind of KINDS) plan(requestOf(kind, seed + 1000, 16, false, 0.6, "latency"));
console.log(`${describeMachine()}; ${rounds} clusters each, a third of that of 1,000 machines\n`);
console.log("| machines and model | median ms | longest ms | looked at | proven within | optimal to 2 % |");
console.log("| --- | --- | --- | --- | --- | --- |");
for (const { what, make, rounds: count } of rows) {
  const times: number[] = [];
  const looked: number[] = [];
  const gaps: number[] = [];
  let optimal = 0;
  let placed = 0;
  for (let seed = 1; seed <= count; seed++) {
    const request = make(seed);
    const start = process.cpuUsage();
    const result = plan(request);
    const { user, system } = process.cpuUsage(start);
    times.push((user + system) / 1000);
    if (!result.feasible) continue;
    placed++;
    looked.push(result.certificate.explored);
    const slowest = Math.max(...result.stages.map((stage) => stage.computeMs + stage.hopMs));
    const figure = request.objective === "throughput" ? slowest : result.predicted.msPerToken;
    gaps.push(figure / result.certificate.lowerBoundMsPerToken - 1);
    if (result.certificate.optimal) optimal++;
  }
  const within = gaps.length === 0 ? "–" : `${(Math.max(...gaps) * 100).toFixed(1)} %`;
  const cells = [
    what,
    median(times).toFixed(0),
    Math.max(...times).toFixed(0),
    median(looked).toFixed(0),
    within,
    `${optimal} of ${placed}`,
  ];
  console.log(`| ${cells.join(" | ")} |`);
}
