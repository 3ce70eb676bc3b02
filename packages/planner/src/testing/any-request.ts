import { fc } from "@fast-check/vitest";
import { asContentId, asModelId, type ModelProfile, type PlannerNode, type PlanRequest } from "@clusterd/wire";

/** A model of layers that differ in what they hold, read and cache, as parts of this many bytes. */
export function modelOf(
  layers: readonly { readonly weight: number; readonly active: number; readonly cache: number }[],
  layerBytes: number,
): ModelProfile {
  return {
    id: asModelId("m"),
    contentId: asContentId("c"),
    name: "m",
    architecture: "llama",
    quantisation: "Q4_K_M",
    fileBytes: layers.length * layerBytes,
    contextMax: 32_768,
    vocabularySize: 32_000,
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
    layers: layers.map(({ weight, active, cache }) => ({
      weightBytes: weight * layerBytes,
      activeBytes: active * layerBytes,
      activeParameters: active * layerBytes,
      kvElementsPerToken: cache,
      kvWindowTokens: null,
      stateBytes: 0,
    })),
    inputBytes: 2e8,
    outputBytes: 3e8,
    hiddenBytes: 16_384,
  };
}

export function requestOf(model: ModelProfile, nodes: readonly PlannerNode[], more: Partial<PlanRequest> = {}): PlanRequest {
  return {
    model,
    nodes,
    links: { rttMs: 0.5, bytesPerSecond: 125e6, pairs: [] },
    objective: "latency",
    context: 2048,
    slots: 1,
    kv: "f16",
    pins: [],
    without: [],
    ...more,
  };
}

const uneven = fc.record({
  weight: fc.constantFrom(0.2, 0.5, 0.8, 1, 1.3, 1.6),
  active: fc.double({ min: 0.01, max: 1, noNaN: true }),
  cache: fc.nat(60_000),
});
const layers = fc.oneof(
  { weight: 3, arbitrary: fc.array(uneven, { minLength: 1, maxLength: 7 }) },
  {
    weight: 1,
    arbitrary: fc.tuple(uneven, fc.integer({ min: 1, max: 7 })).map(([one, count]) => Array.from({ length: count }, () => one)),
  },
);
const machine = fc.record({
  memory: fc.integer({ min: 6, max: 70 }),
  bandwidth: fc.integer({ min: 5, max: 400 }),
  canHead: fc.boolean(),
});
const pair = fc.record({
  a: fc.nat(4),
  b: fc.nat(4),
  rttMs: fc.double({ min: 0, max: 30, noNaN: true }),
  bytesPerSecond: fc.integer({ min: 1e6, max: 1e9 }),
});

/** Small clusters and models in all their differences; some too small to hold the model, some with a machine that holds it alone. */
export const anyRequest = (nodesMax: number): fc.Arbitrary<PlanRequest> =>
  fc
    .record({
      layers,
      machines: fc.array(machine, { minLength: 1, maxLength: nodesMax }),
      pairs: fc.array(pair, { maxLength: 3 }),
    })
    .map(({ layers: each, machines, pairs }) => {
      const nodes = machines.map(({ memory, bandwidth, canHead }, index) => ({
        name: `n${index}`,
        memoryBytes: memory * 1e8,
        bandwidthBytesPerSecond: bandwidth * 1e9,
        canHead,
      }));
      const known = pairs
        .filter(({ a, b }) => a !== b && a < nodes.length && b < nodes.length)
        .map(({ a, b, ...link }) => ({ a: `n${a}`, b: `n${b}`, ...link }));
      return requestOf(modelOf(each, 1e9), nodes, { links: { rttMs: 0.5, bytesPerSecond: 125e6, pairs: known } });
    });
