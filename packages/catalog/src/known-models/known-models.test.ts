import { describe, expect, test } from "vitest";
import { TENSOR_TYPES } from "../tensor-types.ts";
import { findKnown, knownProfileOf, namesNear } from "./find-known.ts";
import { knownProfile, parameterCount } from "./known-profile.ts";
import { knownModels, type KnownModel } from "./model-shape.ts";
import { leastBytes, quantise, quantisationsOf } from "./quantise.ts";
import { layerParts, shapeTensors } from "./shape-tensors.ts";

function model(name: string): KnownModel {
  const found = knownModels().find(({ names }) => names.includes(name));
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

test("the catalogue reaches from half a billion to a trillion, under names of its own", () => {
  const models = knownModels();
  const names = models.flatMap((known) => known.names);
  expect(models.length).toBeGreaterThanOrEqual(60);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z0-9][a-z0-9.-]*$/u);
  expect(Math.min(...models.map((known) => known.parameters))).toBeLessThan(0.6e9);
  expect(Math.max(...models.map((known) => known.parameters))).toBeGreaterThan(1e12);
});

test.each(knownModels().map((known) => [known.names[0] ?? "", known] as const))(
  "%s has as many parameters as published",
  (_, known) => {
    const off = parameterCount(known) / known.parameters - 1;
    // Left out are biases and the norms within heads; some counts are published in round numbers.
    expect(Math.abs(off)).toBeLessThan(0.01);
  },
);

// Bytes of published files, to four figures.
test.each([
  ["llama-3.1-8b", "Q8_0", 8.541e9],
  ["llama-3.1-8b", "Q6_K", 6.596e9],
  ["llama-3.1-8b", "Q5_K_M", 5.733e9],
  ["llama-3.1-8b", "Q4_K_M", 4.921e9],
  ["llama-3.1-8b", "IQ4_XS", 4.448e9],
  ["llama-3.1-8b", "Q3_K_M", 4.019e9],
  ["llama-3.1-8b", "IQ3_XXS", 3.275e9],
  ["llama-3.3-70b", "Q4_K_M", 42.52e9],
  ["llama-3.3-70b", "Q2_K", 26.38e9],
  ["llama-3.3-70b", "IQ2_XXS", 19.1e9],
  ["llama-3.1-405b", "Q4_K_M", 243.1e9],
  // Rows of 896 are no whole blocks of 256: other types take their place.
  ["qwen2.5-0.5b", "Q4_K_M", 397.8e6],
  ["qwen2.5-72b", "Q4_K_M", 47.42e9],
  ["qwen3-30b-a3b", "Q4_K_M", 18.56e9],
  ["mixtral-8x7b", "Q4_K_M", 28.45e9],
  ["gpt-oss-20b", "MXFP4", 12.11e9],
  ["gpt-oss-120b", "MXFP4", 63.39e9],
  ["gemma-2-9b", "Q4_K_M", 5.761e9],
  ["gemma-3-27b", "Q4_K_M", 16.55e9],
  ["phi-4", "Q4_K_M", 9.053e9],
  ["command-r-plus-104b", "Q4_K_M", 62.75e9],
  ["deepseek-v2-lite", "Q4_K_M", 10.36e9],
  ["deepseek-r1", "Q4_K_M", 404.4e9],
  ["deepseek-r1", "Q8_0", 713.3e9],
  ["glm-4.5-air", "Q4_K_M", 72.9e9],
])("%s in %s is as large as its file", (name, quantisation, fileBytes) => {
  const profile = knownProfileOf(`${name}:${quantisation}`);
  expect(Math.abs((profile?.fileBytes ?? 0) / fileBytes - 1)).toBeLessThan(0.005);
});

describe("the quantiser's mixture", () => {
  const typesOf = (name: string, quantisation: "Q4_K_M" | "Q2_K" | "MXFP4"): Map<string, string> => {
    const known = model(name);
    const tensors = quantise(shapeTensors(known.shape, known.architecture), known, quantisation);
    return new Map(tensors.map((tensor) => [tensor.name, TENSOR_TYPES.get(tensor.type)?.name ?? "?"]));
  };

  test("raises values and down-projections of the outer layers and every third between", () => {
    const types = typesOf("llama-3.1-8b", "Q4_K_M");
    const raised = Array.from({ length: 32 }, (_, layer) => layer).filter(
      (layer) => types.get(`blk.${layer}.ffn_down.weight`) === "Q6_K",
    );
    expect(raised).toEqual([0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]);
    expect(raised.every((layer) => types.get(`blk.${layer}.attn_v.weight`) === "Q6_K")).toBe(true);
    expect(types.get("blk.4.ffn_up.weight")).toBe("Q4_K");
    expect([types.get("output.weight"), types.get("token_embd.weight")]).toEqual(["Q6_K", "Q4_K"]);
    expect(types.get("blk.0.attn_norm.weight")).toBe("F32");
  });

  test("so that layers are not alike", () => {
    const sizes = new Set(knownProfileOf("llama-3.1-8b")?.layers.map((layer) => layer.weightBytes));
    expect(sizes.size).toBe(2);
  });

  test("takes care of eight experts' attention, and of a matrix that serves both ends", () => {
    expect(typesOf("mixtral-8x7b", "Q4_K_M").get("blk.5.attn_v.weight")).toBe("Q8_0");
    expect(typesOf("gemma-2-9b", "Q4_K_M").get("token_embd.weight")).toBe("Q6_K");
    expect(typesOf("gpt-oss-20b", "MXFP4").get("blk.0.ffn_up_exps.weight")).toBe("MXFP4");
  });
});

describe("a profile made from a shape", () => {
  test("of DeepSeek-V3 caches the compressed vector and reads the experts used", () => {
    const profile = knownProfile(model("deepseek-v3"), "Q4_K_M");
    expect(profile).toMatchObject({ id: "deepseek-v3:Q4_K_M", contextMax: 163_840, hiddenBytes: 28_672, quantisation: "Q4_K_M" });
    expect(profile.layers).toHaveLength(61);
    expect(profile.layers[60]?.kvElementsPerToken).toBe(576);
    const active = profile.layers.reduce((sum, layer) => sum + layer.activeParameters, 0);
    // 37B with embedding and output, as published.
    expect((active + 2 * 129_280 * 7168) / 37.5e9).toBeCloseTo(1, 1);
    const [dense, mixture] = [profile.layers[0], profile.layers[60]];
    expect(dense?.activeBytes).toBe(dense?.weightBytes);
    expect(mixture?.activeBytes ?? 0).toBeLessThan((mixture?.weightBytes ?? 0) / 10);
  });

  test("of a hybrid has layers of each kind where they belong", () => {
    const { shape } = model("nemotron-nano-9b-v2");
    const mixers = Array.from({ length: shape.layers }, (_, layer) => layerParts(shape, layer).mixer);
    expect(mixers.flatMap((mixer, layer) => (mixer === "attention" ? [layer] : []))).toEqual([14, 21, 30, 39]);
    expect(layerParts(model("qwen3-next-80b-a3b").shape, 3).mixer).toBe("attention");
    expect(layerParts(model("granite-4.0-h-tiny").shape, 15).mixer).toBe("attention");
  });

  test("caches by the window, by the whole context, and by recurrent state, as its layers do", () => {
    const kinds = (name: string): string => {
      const { layers } = knownProfile(model(name), "Q4_K_M");
      const count = (is: (layer: (typeof layers)[number]) => boolean): number => layers.filter(is).length;
      const windowed = count((layer) => layer.kvElementsPerToken > 0 && layer.kvWindowTokens !== null);
      const whole = count((layer) => layer.kvElementsPerToken > 0 && layer.kvWindowTokens === null);
      return `${windowed} windowed, ${whole} whole, ${count((layer) => layer.stateBytes > 0)} recurrent of ${layers.length}`;
    };
    // Their config.json: one full layer in six, in two, in four; the rest of hybrids by their patterns.
    expect(kinds("gemma-3-27b")).toBe("52 windowed, 10 whole, 0 recurrent of 62");
    expect(kinds("gemma-2-9b")).toBe("21 windowed, 21 whole, 0 recurrent of 42");
    expect(kinds("command-a-111b")).toBe("48 windowed, 16 whole, 0 recurrent of 64");
    expect(kinds("granite-4.0-h-tiny")).toBe("0 windowed, 4 whole, 36 recurrent of 40");
    expect(kinds("qwen3-next-80b-a3b")).toBe("0 windowed, 12 whole, 36 recurrent of 48");
    expect(kinds("nemotron-nano-9b-v2")).toBe("0 windowed, 4 whole, 27 recurrent of 56");
    expect(kinds("nemotron-3-nano-30b-a3b")).toBe("0 windowed, 6 whole, 23 recurrent of 52");
  });

  test("is had for every model in every quantisation, smaller with each", () => {
    for (const known of knownModels()) {
      const sizes = quantisationsOf(known).map((quantisation) => knownProfile(known, quantisation).fileBytes);
      for (const [index, quantisation] of quantisationsOf(known).entries())
        expect(leastBytes(known, quantisation)).toBeLessThan(sizes[index] ?? 0);
      expect(sizes.length).toBeGreaterThan(0);
      expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
    }
  });
});

describe("names", () => {
  test("are found without regard to case, Q4_K_M unless another is asked for", () => {
    expect(knownProfileOf("DeepSeek-R1")?.id).toBe("deepseek-r1:Q4_K_M");
    expect(knownProfileOf("qwen3-8b:q8_0")?.id).toBe("qwen3-8b:Q8_0");
    expect(knownProfileOf("gpt-oss-20b")?.id).toBe("gpt-oss-20b:MXFP4");
    expect(findKnown("no-such-model")).toBeNull();
  });

  test("a quantisation that is not there is told with those that are", () => {
    expect(() => findKnown("gpt-oss-20b:Q4_K_M")).toThrow(
      expect.objectContaining({ code: "not_found", next: "There are MXFP4." }),
    );
  });

  test("near ones are suggested", () => {
    expect(namesNear("deepsek-v3")[0]).toBe("deepseek-v3");
    expect(namesNear("llama3.3-70b:Q8_0")[0]).toBe("llama-3.3-70b");
    expect(namesNear("zzzz")).toEqual([]);
  });
});
