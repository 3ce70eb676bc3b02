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
import { toFetch } from "./to-fetch.ts";
import { chosenSpeculation, guessingProblem, vocabularyDifference } from "./speculation.ts";

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

describe("a model with layers for later tokens", () => {
  const own = (more: Partial<ModelProfile> = {}): ModelProfile =>
    model("own", 9, { nextTokenLayers: 1, architecture: "glm4moe", ...more });
  const nodes = (bytes: number) => request().nodes.map((node) => ({ ...node, memoryBytes: bytes }));
  const of = (more: Partial<PlanRequest> = {}): PlanRequest => request({ model: own(), nodes: nodes(1e11), ...more });

  test("guesses with them where nothing else is asked for", () => {
    expect(placed(of()).speculation).toEqual({ type: "mtp", draft: null });
    expect(placed(of({ speculation: "ngram" })).speculation.type).toBe("ngram");
    expect(placed(of({ speculation: "off" })).speculation.type).toBe("off");
    expect(placed(of({ draft: small })).speculation.type).toBe("draft");
  });

  test("has them on the head when it does, and else on the disk: no stage has them", () => {
    const spread = { objective: "spread" as const, head: "a" };
    const guessing = placed(of(spread));
    const plain = placed(of({ ...spread, speculation: "ngram" }));
    expect([guessing, plain].map(({ model: { layerCount } }) => layerCount)).toEqual([8, 8]);
    expect([guessing, plain].map(({ stages }) => stages.map(({ lastLayer }) => lastLayer))).toEqual([
      [3, 7],
      [3, 7],
    ]);
    // Weights of 1 GB and the cache of both slots, besides what a second context takes.
    const more = guessing.costs.headBufferBytes - plain.costs.headBufferBytes;
    expect(more).toBeGreaterThan(1e9 + 2048 * 2 * 2048 * 2);
    expect(more).toBeLessThan(1.5e9);
    const without = placed(of({ ...spread, speculation: "ngram", model: model("own", 8) }));
    expect(plain.stages).toEqual(without.stages);
    expect(guessing.stages[1]).toEqual(without.stages[1]);
  });

  test("has the head fetch them, and no stage", () => {
    const lacks = toFetch(own(), { layers: [0], head: false });
    expect(lacks({ firstLayer: 0, lastLayer: 7, isHead: false })).toBe(7e9);
    expect(lacks({ firstLayer: 0, lastLayer: -1, isHead: true })).toBe(1e9 + 2e8);
    expect(toFetch(own(), { layers: [8], head: true })({ firstLayer: 0, lastLayer: -1, isHead: true })).toBe(0);
  });

  test("does without them where the head has no room for them, and says so", () => {
    // Eight layers on two machines of 5 GB: four each, and some 0.6 GB for the rest.
    const tight = of({ nodes: nodes(5e9) });
    const found = placed(tight);
    expect(found.speculation.type).toBe("ngram");
    expect(found.notes.join()).toContain("no room for own's layers");
    expect(plan({ ...tight, speculation: "mtp" }).feasible).toBe(false);
  });

  test.each<[string, Partial<ModelProfile>, string | null]>([
    ["of an architecture whose graph for them is there", {}, null],
    ["of one whose is not", { architecture: "glm4" }, "does not compute"],
    ["more of them than are computed", { nextTokenLayers: 2 }, "1 layer"],
    ["several, where all are computed", { nextTokenLayers: 3, architecture: "step35" }, null],
    [
      "in a file without them",
      { layers: own().layers.map((layer, at) => (at < 8 ? layer : { ...layer, weightBytes: 0 })) },
      "without",
    ],
  ])("%s", (_, more, problem) => {
    expect(guessingProblem(own(more))).toEqual(problem === null ? null : expect.stringContaining(problem));
    const asked = of({ model: own(more), speculation: "mtp" });
    if (problem === null) expect(placed(asked).speculation.type).toBe("mtp");
    else expect(() => plan(asked)).toThrow(expect.objectContaining({ code: "unsupported" }) as Error);
    expect(placed({ ...asked, speculation: "auto" }).speculation.type).toBe(problem === null ? "mtp" : "ngram");
  });

  test("and sees images: by n-grams, as its own layers see the text alone", () => {
    const projector = { file: "mmproj.gguf", fileBytes: 1, memoryBytes: 1 };
    expect(placed(of({ model: own({ projector }) })).speculation.type).toBe("ngram");
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
