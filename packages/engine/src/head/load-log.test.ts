import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseBufferSizes } from "./buffer-sizes.ts";
import { wantedDevices, type HeadSpec } from "./head-spec.ts";
import { misplacedLayer, parseLayerDevices } from "./layer-map.ts";
import { contradiction } from "./load-check.ts";
import { explainHeadEnd } from "./load-failure.ts";
import { parseLoadProgress } from "./load-progress.ts";

/** Logs of llama-server v0.5.0 over the demo model, paths shortened. */
const recorded = (name: string): string[] => readFileSync(new URL(`recorded/${name}.log`, import.meta.url), "utf8").split("\n");
const MIB = 1024 * 1024;

const load = recorded("load-4-6-6");
const endpoints = [...new Set(parseBufferSizes(load).flatMap(({ endpoint }) => (endpoint === null ? [] : [endpoint])))];
const spec: HeadSpec = {
  modelPath: "demo.gguf",
  modelId: "demo",
  layers: { head: 4, workers: endpoints.map((endpoint) => ({ endpoint, layers: 6 })) },
  layerCount: 16,
  context: 512,
  slots: 2,
  kv: "f16",
  threads: 1,
  acceleratorId: null,
};

describe("the layers' places", () => {
  const found = parseLayerDevices(recorded("layers-4-6-6"));
  test("are read from the log, the output's slot included", () => {
    expect([...found.keys()]).toEqual(Array.from({ length: 17 }, (_, layer) => layer));
    expect(misplacedLayer(wantedDevices(spec), found)).toBeNull();
  });
  test("the first that is elsewhere is named", () => {
    const other = wantedDevices({
      layers: { head: 4, workers: [7, 5].map((layers, index) => ({ endpoint: `127.0.0.1:${index}`, layers })) },
      acceleratorId: null,
    });
    expect(misplacedLayer(other, found)).toBe("layer 10 is on RPC1 instead of RPC0");
    expect(misplacedLayer(wantedDevices(spec), new Map())).toBe("layer 0 is on no device instead of CPU");
    expect(misplacedLayer(wantedDevices(spec).slice(0, 10), found)).toBe(
      "the model has 16 layers instead of the 10 planned ones",
    );
  });
});

describe("buffer sizes", () => {
  test("by device and kind, as the log has them", () => {
    const sizes = parseBufferSizes(load);
    const mib = (endpoint: string | null, kind: string): number =>
      (sizes.find((size) => size.endpoint === endpoint && size.kind === kind)?.bytes ?? 0) / MIB;
    expect(endpoints).toHaveLength(2);
    for (const endpoint of endpoints) {
      expect([mib(endpoint, "model"), mib(endpoint, "KV"), mib(endpoint, "compute")]).toEqual([
        expect.closeTo(1.2, 5),
        expect.closeTo(1.5, 5),
        expect.closeTo(3.26, 5),
      ]);
    }
    expect([mib(null, "model"), mib(null, "KV"), mib(null, "compute"), mib(null, "output")]).toEqual([
      expect.closeTo(1.13, 5),
      expect.closeTo(1, 5),
      expect.closeTo(3.76, 5),
      expect.closeTo(0.01, 5),
    ]);
  });
  test("buffers of one kind add up, new reports replace old ones", () => {
    const sizes = parseBufferSizes([
      "0.1 I load_tensors:   CPU_Mapped model buffer size =   2.00 MiB",
      "0.1 I load_tensors:   CPU_REPACK model buffer size =   3.00 MiB",
      "0.1 I llama_kv_cache: RPC0[127.0.0.1:9] KV buffer size =   1.00 MiB",
      "0.1 I llama_kv_cache: RPC0[127.0.0.1:9] KV buffer size =   0.50 MiB",
      "0.1 I sched_reserve:  CUDA0 compute buffer size =   8.00 MiB",
      "0.1 I sched_reserve:  CUDA0 compute buffer size =   4.00 MiB",
    ]);
    expect(sizes).toEqual([
      { device: "CPU", endpoint: null, kind: "model", bytes: 5 * MIB },
      { device: "RPC0[127.0.0.1:9]", endpoint: "127.0.0.1:9", kind: "KV", bytes: 1.5 * MIB },
      { device: "CUDA0", endpoint: null, kind: "compute", bytes: 4 * MIB },
    ]);
  });
});

describe("a finished load", () => {
  test("that goes by the plan", () => expect(contradiction(spec, load)).toBeNull());
  test("that leaves more on the head", () =>
    expect(contradiction({ ...spec, layers: { ...spec.layers, head: 5 }, layerCount: 17 }, load)).toBe(
      "13 of 17 layers are off the head's CPU instead of 13 of 18",
    ));
  test("that leaves a worker empty", () => {
    const workers = [...spec.layers.workers.slice(0, 1), { endpoint: "127.0.0.1:1", layers: 6 }];
    expect(contradiction({ ...spec, layers: { head: 4, workers } }, load)).toBe("the worker behind 127.0.0.1:1 holds no weights");
  });
});

describe("why a head ended", () => {
  test.each([
    ["endpoint-refused", "worker_lost", "127.0.0.1:1 does not take connections"],
    ["worker-killed", "worker_lost", "Remote RPC server crashed"],
    ["memory-head", "does_not_fit", "7813.00 MB"],
    ["memory-worker", "does_not_fit", "on the worker behind 127.0.0.1:39311"],
    ["model-missing", "model_broken", "No such file or directory"],
    ["model-truncated", "model_broken", "data is not within the file bounds"],
    ["model-junk", "model_broken", "invalid magic characters"],
    ["unknown-argument", "unsupported", "--nope"],
  ])("%s", (name, code, words) => {
    const error = explainHeadEnd(recorded(name), "ended with status 1", "demo");
    expect(error.code).toBe(code);
    expect(error.message).toContain(words);
    expect(error.message).not.toMatch(/0\.00\.\d{3}/);
  });
  test("a log of a good load is no reason", () => {
    expect(explainHeadEnd(load, "was ended by SIGSEGV", "demo")).toMatchObject({
      code: "engine_crashed",
      message: "llama-server was ended by SIGSEGV.",
    });
    expect(explainHeadEnd([], "was ended by SIGKILL", "demo").message).toContain("memory runs out");
  });
});

describe("progress", () => {
  const told = load.map(parseLoadProgress).filter((fraction) => fraction !== null);
  test("is read from the log", () => expect(told).toEqual([0, 1, 1]));
  test.each([
    'cmd_child_to_router:state:{"state":"loading","payload":{"value":7}}',
    'cmd_child_to_router:state:{"state":"sleeping","payload":{"value":0.5}}',
    "cmd_child_to_router:state:null",
    "cmd_child_to_router:state:{",
    "loading 50%",
  ])("is not made up: %s", (line) => expect(parseLoadProgress(line)).toBeNull());
});
