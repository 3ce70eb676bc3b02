import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { headArguments, wantedDevices, type HeadSpec } from "./head-arguments.ts";
import { createLoadLog, misplacedLayer } from "./load-log.ts";

const spec = (head: number, workers: number[], acceleratorId: string | null = null): HeadSpec => ({
  modelPath: "m.gguf",
  modelId: "m",
  layers: { head, workers: workers.map((layers, index) => ({ endpoint: `127.0.0.1:${5000 + index}`, layers })) },
  layerCount: head + workers.reduce((sum, layers) => sum + layers, 0),
  context: 512,
  slots: 2,
  kv: "f16",
  threads: 1,
  acceleratorId,
});
const valueOf = (args: readonly string[], flag: string): string | undefined => args[args.indexOf(flag) + 1];

test.prop([fc.integer({ min: 0, max: 40 }), fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 15 })])(
  "the slots off the head and the shares of the devices agree",
  (head, workers) => {
    const wanted = spec(head, workers);
    const args = headArguments(wanted);
    const shares = (valueOf(args, "-ts") ?? "").split(",").map(Number);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBe(Number(valueOf(args, "-ngl")));
    expect(shares).toEqual(workers.map((layers, index) => layers + (index === workers.length - 1 ? 1 : 0)));
    expect(valueOf(args, "-c")).toBe("1024");
    expect(wantedDevices(wanted)).toHaveLength(wanted.layerCount);
  },
);

test("a head alone on its CPU offloads nothing", () => {
  const args = headArguments(spec(16, []));
  expect(valueOf(args, "--device")).toBe("none");
  expect(args).not.toContain("--rpc");
});

test("the head's accelerator comes before the workers and takes the head's layers", () => {
  const args = headArguments(spec(4, [6, 6], "CUDA0"));
  expect(valueOf(args, "--device")).toBe("CUDA0,RPC0,RPC1");
  expect(valueOf(args, "-ts")).toBe("4,6,7");
  expect(valueOf(args, "-ngl")).toBe("17");
});

test("more workers than the engine takes are refused", () => {
  expect(() => headArguments(spec(0, Array.from({ length: 16 }, () => 1)))).toThrow(/at most 15/);
  expect(headArguments(spec(0, Array.from({ length: 15 }, () => 1)))).toContain("--rpc");
});

test("a layer in the wrong place is named", () => {
  const log = createLoadLog();
  for (const [layer, device] of [[0, "CPU"], [1, "RPC0"], [2, "RPC0"]] as const) log.take(`0.00.1 D load_tensors: layer   ${layer} assigned to device ${device}, is_swa = 0`);
  expect(misplacedLayer(["CPU", "RPC0", "RPC0"], log)).toBeNull();
  expect(misplacedLayer(["CPU", "CPU", "RPC0"], log)).toContain("layer 1 is on RPC0");
  log.take("0.00.137.708 I load_tensors: RPC0[127.0.0.1:45001] model buffer size =     2.40 MiB");
  expect(log.buffers).toEqual([{ device: "RPC0[127.0.0.1:45001]", kind: "model", bytes: 2516582 }]);
});
