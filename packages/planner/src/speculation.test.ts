import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import {
  asContentId,
  asModelId,
  KV_BYTES_PER_ELEMENT,
  type KvType,
  type ModelProfile,
  type Placement,
  type PlanRequest,
  type Vocabulary,
} from "@clusterd/wire";
import { plan } from "./plan.ts";
import { chosenSpeculation, vocabularyDifference } from "./speculation.ts";

const words: Vocabulary = { kind: "gpt2", size: 10_000, beginId: 1, endId: null, digests: ["a", "ab", "abc"] };
const model = (name: string, layers: number, more: Partial<ModelProfile> = {}): ModelProfile => ({
  id: asModelId(name),
  contentId: asContentId(name),
  name,
  architecture: "llama",
  quantisation: "Q8_0",
  fileBytes: layers * 1e9,
  contextMax: 32768,
  vocabularySize: words.size,
  embeddingLength: 4096,
  vocabulary: words,
  nextTokenLayers: 0,
  activations: {
    f16Cache: 32_768,
    quantisedCache: 32_768,
    worker: 32_768,
    recurrent: 0,
    unfused: { head: 2048, worker: 1024, rows: 8, values: 256, copied: 0 },
  },
  layers: Array.from({ length: layers }, () => ({
    weightBytes: 1e9,
    activeBytes: 1e9,
    activeParameters: 1e9,
    kvElementsPerToken: 2048,
    kvWindowTokens: null,
    stateBytes: 0,
  })),
  inputBytes: 1e8,
  outputBytes: 1e8,
  hiddenBytes: 16384,
  ...more,
});
const small = model("small", 1);
const request = (more: Partial<PlanRequest> = {}): PlanRequest => ({
  model: model("big", 8),
  nodes: ["a", "b"].map((name) => ({ name, memoryBytes: 7e9, bandwidthBytesPerSecond: 1e11, canHead: true })),
  links: { rttMs: 20, bytesPerSecond: 125e6, pairs: [] },
  objective: "latency",
  context: 2048,
  slots: 2,
  kv: "f16",
  pins: [],
  without: [],
  ...more,
});
function placed(wanted: PlanRequest): Placement {
  const result = plan(wanted);
  if (!result.feasible) throw new Error(JSON.stringify(result));
  return result;
}

describe("the way to speculate", () => {
  const own = model("own layers", 8, { nextTokenLayers: 1, architecture: "glm4moe" });
  test("is what was asked for; by itself a draft model where one is named, else n-grams", () => {
    expect(chosenSpeculation(request())).toBe("ngram");
    expect(chosenSpeculation(request({ draft: small }))).toBe("draft");
    expect(chosenSpeculation(request({ draft: small, speculation: "draft" }))).toBe("draft");
    expect(chosenSpeculation(request({ speculation: "off" }))).toBe("off");
    expect(chosenSpeculation(request({ speculation: "mtp", model: own }))).toBe("mtp");
    expect(placed(request({ draft: small })).speculation).toMatchObject({ type: "draft", draft: { model: "small" } });
    expect(placed(request()).speculation).toEqual({ type: "ngram", draft: null });
  });
  test.each<[string, Partial<PlanRequest>, string, RegExp]>([
    ["a draft without a model", { speculation: "draft" }, "invalid_request", /needs one/],
    ["a draft model for something else", { speculation: "ngram", draft: small }, "invalid_request", /no use/],
    ["layers that the model does not have", { speculation: "mtp" }, "unsupported", /big has no layers/],
    ["a stranger's words", { draft: model("x", 1, { vocabulary: null }) }, "unsupported", /x cannot draft for big/],
  ])("%s is refused", (_, more, code, message) => {
    expect(() => plan(request(more))).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error,
    );
  });
});

describe("vocabularies", () => {
  const differ = (more: Partial<Vocabulary>): string | null => vocabularyDifference(words, { ...words, ...more });
  test("are the same, or nearly so at their ends", () => {
    expect(differ({})).toBeNull();
    expect(differ({ beginId: null })).toBeNull();
    // Filled up to another size: the digest of all is another, the last common one is not.
    expect(differ({ size: 10_100, digests: ["a", "ab", "other"] })).toBeNull();
  });
  test.each<[Partial<Vocabulary>, RegExp]>([
    [{ kind: "llama" }, /gpt2 and llama/],
    [{ size: 10_200 }, /10000 and 10200/],
    [{ beginId: 2 }, /begin or end/],
    [{ digests: ["a", "ab", "other"] }, /vocabularies differ/],
    [{ size: 10_100, digests: ["a", "other", "other"] }, /vocabularies differ/],
  ])("%j is another one", (more, why) => expect(differ(more)).toMatch(why));
});

const kinds = fc.constantFrom<KvType>("f16", "q8_0", "q4_0");
test.prop([kinds, fc.integer({ min: 512, max: 16_384 }), fc.integer({ min: 1, max: 4 })])(
  "a draft model is counted whole, as memory of the head and of nobody else",
  (kv, context, slots) => {
    const nodes = request().nodes.map((node) => ({ ...node, memoryBytes: 1e12 }));
    const spread = { nodes, kv, context, slots, objective: "spread" as const, head: "a" };
    const without = placed(request(spread));
    const drafted = placed(request({ ...spread, draft: small }));
    const bytes = drafted.speculation.draft?.memoryBytes ?? 0;
    const cache = 2048 * KV_BYTES_PER_ELEMENT[kv] * context * slots;
    expect(bytes).toBeGreaterThan(1.2e9 + cache);
    // A draft guesses 8 tokens at a time, the text before it 12: that many fewer logits (f32) are kept for every slot.
    const fewerLogits = (12 - 8) * slots * small.vocabularySize * 4;
    const more = bytes - fewerLogits;
    expect(drafted.costs.headBufferBytes).toBeCloseTo(without.costs.headBufferBytes + more, 3);
    expect(drafted.costs.workerBufferBytes).toBe(without.costs.workerBufferBytes);
    const memory = (plan: Placement): number[] => plan.stages.map((stage) => stage.memoryBytes);
    expect(memory(drafted)[0]).toBeCloseTo((memory(without)[0] ?? 0) + more, 3);
    expect(memory(drafted)[1]).toBe(memory(without)[1]);
  },
);

test("a head that the draft model fills gets fewer layers, and where nothing fits, it is said what would", () => {
  const count = (plan: Placement): number =>
    plan.stages.filter(({ node }) => node === plan.head).reduce((sum, stage) => sum + stage.lastLayer - stage.firstLayer + 1, 0);
  expect(count(placed(request({ draft: model("d", 3), head: "a" })))).toBeLessThan(count(placed(request({ head: "a" }))));
  const refused = plan(request({ draft: model("d", 6) }));
  expect(refused).toMatchObject({ feasible: false });
  if (!refused.feasible) expect(refused.suggestions.join(" ")).toContain("without the draft model d");
});
