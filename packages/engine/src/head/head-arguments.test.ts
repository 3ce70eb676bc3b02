import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { headArguments } from "./head-arguments.ts";
import { wantedDevices, type HeadSpec } from "./head-spec.ts";
import type { HeadSpeculation } from "./speculation-arguments.ts";

const spec = (head: number, workers: readonly number[], more: Partial<HeadSpec> = {}): HeadSpec => ({
  modelPath: "m.gguf",
  modelId: "m",
  layers: { head, workers: workers.map((layers, index) => ({ endpoint: `127.0.0.1:${5000 + index}`, layers })) },
  layerCount: workers.reduce((sum, layers) => sum + layers, head),
  context: 512,
  slots: 2,
  kv: "f16",
  threads: 1,
  acceleratorId: null,
  ...more,
});
const valueOf = (args: readonly string[], flag: string): string | undefined =>
  args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined;

/**
 * Where llama.cpp puts the layers for these flags (`load_tensors` in llama-model.cpp, in its single precision): the first layers stay
 * on the CPU, the others go to the first device whose cumulated share of the whole is larger than the layer's own.
 */
function placedBy(args: readonly string[], layerCount: number): string[] {
  const devices = valueOf(args, "--device") === "none" ? [] : (valueOf(args, "--device") ?? "").split(",");
  const slots = Math.min(Number(valueOf(args, "-ngl")), layerCount + 1);
  const shares = (valueOf(args, "-ts") ?? "").split(",").map(Number);
  let sum = 0;
  const ends = shares.map((share) => (sum = Math.fround(sum + share))).map((end) => Math.fround(end / sum));
  return Array.from({ length: layerCount }, (_, layer) => {
    const position = layer - (layerCount + 1 - slots);
    if (position < 0 || devices.length === 0) return "CPU";
    const at = Math.fround(position / slots);
    return devices[ends.findIndex((end) => end > at)] ?? "none";
  });
}

const workers = fc.array(fc.integer({ min: 1, max: 70 }), { maxLength: 14 });

test.prop([fc.integer({ min: 0, max: 130 }), workers, fc.constantFrom(null, "CUDA0", "MTL0")], { numRuns: 2000 })(
  "llama.cpp's arithmetic gives exactly the planned ranges",
  (head, remote, acceleratorId) => {
    fc.pre(head + remote.length > 0);
    const wanted = spec(head, remote, { acceleratorId });
    expect(placedBy(headArguments(wanted), wanted.layerCount)).toEqual(wantedDevices(wanted));
  },
);

test("the control: shares that do not count the output place a layer elsewhere", () => {
  const wanted = spec(4, [9, 11]);
  const args = headArguments(wanted).map((value) => (value === "9,12" ? "9,11" : value));
  expect(placedBy(args, wanted.layerCount)).not.toEqual(wantedDevices(wanted));
});

test("the whole command line of a head with two workers", () => {
  expect(headArguments(spec(4, [9, 11], { kv: "q8_0", threads: 3 })).join(" ")).toBe(
    "-m m.gguf --alias m --load-mode none --rpc 127.0.0.1:5000,127.0.0.1:5001 --device RPC0,RPC1 -ngl 21 -ts 9,12 -sm layer " +
      "-ot ^(output|token_embd)\\.weight=CPU -ub 128 -fit off -fa on -c 1024 --no-context-shift -np 2 -ctk q8_0 -ctv q8_0 -t 3 " +
      "-cram 0 --no-warmup --offline --no-ui --metrics --jinja --host 127.0.0.1 --port 0",
  );
});

test("flash attention is on unless it is switched off", () => {
  expect(valueOf(headArguments(spec(4, [9, 11])), "-fa")).toBe("on");
  expect(valueOf(headArguments(spec(4, [9, 11], { flashAttention: false })), "-fa")).toBe("off");
});

test.each([
  [0, 1, undefined],
  [0, 2, "256"],
  [2, 2, "128"],
  [0, 4, "128"],
  [0, 5, "64"],
])("%i layers on the head and %i workers: what they take of a prompt at a time", (head, count, tokens) => {
  const remote = Array.from({ length: count }, () => 3);
  expect(valueOf(headArguments(spec(head, remote)), "-ub")).toBe(tokens);
});

test("a head that maps its file", () => {
  expect(headArguments(spec(4, [12], { mapped: true })).join(" ")).toContain("--load-mode mmap");
});

describe("embeddings", () => {
  const batches = (args: readonly string[]) => [valueOf(args, "-b"), valueOf(args, "-ub"), valueOf(args, "--pooling")];

  test("a text that is computed in one piece fits a batch whole, over any number of stages", () => {
    const args = headArguments(spec(0, [3, 3, 3], { context: 300, embedding: { pooling: "mean", whole: true } }));
    expect(args).toContain("--embeddings");
    // As many as the context is rounded up to.
    expect(batches(args)).toEqual(["512", "512", "mean"]);
  });

  test("any other goes through the stages in pieces", () => {
    expect(batches(headArguments(spec(2, [2], { embedding: { pooling: "last", whole: false } })))).toEqual([
      "256",
      "256",
      "last",
    ]);
    expect(headArguments(spec(2, [2]))).not.toContain("--embeddings");
  });
});

test("images are the head's work: on its accelerator where it has layers there, else on its CPU", () => {
  const seeing = { projectorPath: "mmproj.gguf" };
  expect(valueOf(headArguments(spec(2, [2], seeing)), "--mmproj")).toBe("mmproj.gguf");
  expect(headArguments(spec(2, [2], seeing))).toContain("--no-mmproj-offload");
  expect(headArguments(spec(0, [4], { ...seeing, acceleratorId: "CUDA0" }))).toContain("--no-mmproj-offload");
  expect(headArguments(spec(2, [2], { ...seeing, acceleratorId: "CUDA0" }))).not.toContain("--no-mmproj-offload");
  expect(headArguments(spec(2, [2]))).not.toContain("--mmproj");
});

describe("speculation", () => {
  const flags = (speculation: HeadSpeculation): string => headArguments(spec(4, [12], { kv: "q4_0", speculation })).join(" ");
  const plain = headArguments(spec(4, [12], { kv: "q4_0" })).join(" ");
  test.each<[HeadSpeculation, string]>([
    [{ type: "off" }, ""],
    [{ type: "ngram" }, " --spec-type ngram-simple --spec-ngram-simple-size-n 5 --spec-ngram-simple-size-m 12"],
    [
      { type: "draft", modelPath: "small model.gguf" },
      " --spec-type draft-simple -md small model.gguf --spec-draft-device none --spec-draft-ngl 0 --spec-draft-n-max 8 " +
        "--spec-draft-type-k q4_0 --spec-draft-type-v q4_0",
    ],
    [{ type: "mtp" }, " --spec-type draft-mtp --spec-draft-n-max 3 --spec-draft-type-k q4_0 --spec-draft-type-v q4_0"],
  ])("%o", (speculation, more) => expect(flags(speculation)).toBe(plain.replace(" -cram", `${more} -cram`)));
});

const placement = (wanted: HeadSpec): (string | undefined)[] =>
  ["--device", "-ngl", "-ts", "--rpc"].map((flag) => valueOf(headArguments(wanted), flag));

describe("where layers for later tokens go", () => {
  const own = { nextTokenLayers: 2 };
  const beside = (head: number, remote: readonly number[], more: Partial<HeadSpec> = {}): HeadSpec => {
    const wanted = spec(head, remote, { ...own, ...more });
    return { ...wanted, layers: { ...wanted.layers, nextTokens: { endpoint: "127.0.0.1:6000" } } };
  };
  test("not loaded, they are counted to the last device", () => {
    expect(placement(spec(24, [], own))).toEqual(["none", "0", undefined, undefined]);
    expect(placement(spec(24, [], { ...own, acceleratorId: "CUDA0" }))).toEqual(["CUDA0", "27", "27", undefined]);
    expect(placement(spec(4, [8, 12], own))).toEqual(["RPC0,RPC1", "23", "8,15", "127.0.0.1:5000,127.0.0.1:5001"]);
  });
  test("guessed with, to a worker behind the others, and what is before the output stays on the head", () => {
    const endpoints = "127.0.0.1:5000,127.0.0.1:5001,127.0.0.1:6000";
    expect(placement(beside(4, [8, 12]))).toEqual(["RPC0,RPC1,RPC2", "23", "8,12,3", endpoints]);
    expect(valueOf(headArguments(beside(0, [8, 12])), "-ot")).toBe("^(output|output_norm|token_embd)\\.weight=CPU");
  });
  test("that worker is one of those that the engine reaches, and has layers", () => {
    expect(() =>
      headArguments(
        beside(
          0,
          Array.from({ length: 15 }, () => 1),
        ),
      ),
    ).toThrow("at most 14 workers");
    expect(() => headArguments(beside(0, [4], { nextTokenLayers: 0 }))).toThrow("needs layers");
    const same = beside(0, [4]);
    expect(() => headArguments({ ...same, layers: { ...same.layers, nextTokens: { endpoint: "127.0.0.1:5000" } } })).toThrow(
      "same endpoint",
    );
  });
});

describe("where the head's own layers go", () => {
  test("alone on its CPU", () => {
    expect(placement(spec(24, []))).toEqual(["none", "0", undefined, undefined]);
  });
  test("alone on its accelerator, the output too", () => {
    expect(placement(spec(24, [], { acceleratorId: "CUDA0" }))).toEqual(["CUDA0", "25", "25", undefined]);
    expect(headArguments(spec(24, [], { acceleratorId: "CUDA0" }))).not.toContain("-ot");
  });
  test("on its accelerator, before the workers", () => {
    expect(placement(spec(4, [20], { acceleratorId: "CUDA0" }))).toEqual(["CUDA0,RPC0", "25", "4,21", "127.0.0.1:5000"]);
  });
  test("nowhere, with all of them on workers", () => {
    expect(placement(spec(0, [12, 12], { acceleratorId: "CUDA0" }))).toEqual([
      "RPC0,RPC1",
      "25",
      "12,13",
      "127.0.0.1:5000,127.0.0.1:5001",
    ]);
  });
});

describe("what cannot be", () => {
  const endpoint = (value: string): HeadSpec => spec(0, [2], { layers: { head: 0, workers: [{ endpoint: value, layers: 2 }] } });
  const twice = spec(0, [1, 1], {
    layers: { head: 0, workers: [1, 1].map((layers) => ({ endpoint: "127.0.0.1:5000", layers })) },
  });
  test.each([
    ["more workers than llama.cpp has backends", spec(0, Array<number>(16).fill(1)), "does_not_fit"],
    ["as many, with an accelerator", spec(1, Array<number>(15).fill(1), { acceleratorId: "CUDA0" }), "does_not_fit"],
    ["a layer too few", spec(4, [4], { layerCount: 9 }), "failed"],
    ["a worker without layers", spec(4, [0, 4]), "failed"],
    ["half a layer", spec(0.5, [1.5]), "failed"],
    ["a worker that is not on the loopback", endpoint("192.168.1.2:5000"), "failed"],
    ["two endpoints in one", endpoint("127.0.0.1:1,127.0.0.1:2"), "failed"],
    ["one endpoint for two stages", twice, "failed"],
    ["no slots", spec(1, [], { slots: 0 }), "failed"],
  ])("%s", (_, wanted, code) => expect(() => headArguments(wanted)).toThrow(expect.objectContaining({ code }) as Error));
  test("and, for comparison, what just can", () => {
    expect(headArguments(spec(0, Array<number>(15).fill(1)))).toContain("--rpc");
    expect(headArguments(spec(1, Array<number>(14).fill(1), { acceleratorId: "CUDA0" }))).toContain("--rpc");
  });
});
