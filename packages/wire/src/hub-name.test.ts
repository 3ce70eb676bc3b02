import { expect, test } from "vitest";
import { ambiguous, hubId, modelsNamed, parseHubName, type NamedModel } from "./hub-name.ts";

const model = (id: string, ...aliases: string[]): NamedModel => ({ id, aliases });
const ids = (name: string, ...models: NamedModel[]): readonly string[] => modelsNamed(name, models).map(({ id }) => id);

test("a hub's name is read however it is written; what is none is none", () => {
  expect(parseHubName("hf:O/R-GGUF:Q8_0@v1")).toEqual({ repo: "O/R-GGUF", quantisation: "Q8_0", revision: "v1" });
  expect(parseHubName(" hf.co/o/r ")).toEqual({ repo: "o/r", quantisation: null, revision: null });
  for (const none of ["demo", "/a/b.gguf", "a/b/c", "o/r:", "../r", ""]) expect(parseHubName(none), none).toBeNull();
  expect(hubId("o/r", "Q8_0", "main")).toBe("o/r:Q8_0");
  expect(hubId("o/r", "Q8_0", "v1")).toBe("o/r:Q8_0@v1");
});

test("without a quantisation the usual one is meant, or the only one; several are no answer, and are told", () => {
  const [q4, q8, f16] = [model("O/R:Q4_K_M"), model("O/R:Q8_0"), model("O/R:F16")];
  expect(ids("hf:o/r", q4, q8)).toEqual(["O/R:Q4_K_M"]);
  expect(ids("o/r", q8)).toEqual(["O/R:Q8_0"]);
  expect(ids("o/r:q8_0", q4, q8)).toEqual(["O/R:Q8_0"]);
  expect(ambiguous("o/r", [q8, f16])).toEqual(["O/R:Q8_0", "O/R:F16"]);
  expect(ambiguous("o/r", [q4, q8])).toEqual([]);
  expect(ambiguous("o/r:q8_0", [q8, f16])).toEqual([]);
  expect(ids("o/r:IQ1_S", q4, q8)).toEqual([]);
  expect(ids("o/r:q4_k_xl", model("o/r:UD-Q4_K_XL"))).toEqual(["o/r:UD-Q4_K_XL"]);
  expect(ids("o/other", q4)).toEqual([]);
});

test("a revision never answers for another; a commit is known by its beginning", () => {
  const main = model("o/r:Q8_0", "o/r:Q8_0@0123abcd4567");
  const tagged = model("o/r:Q8_0@v1", "o/r:Q8_0@fedcba987654");
  expect(ids("hf:o/r", main, tagged)).toEqual(["o/r:Q8_0"]);
  expect(ids("hf:o/r@main", main, tagged)).toEqual(["o/r:Q8_0"]);
  expect(ids("hf:o/r@v1", main, tagged)).toEqual(["o/r:Q8_0@v1"]);
  expect(ids("hf:o/r:q8_0@FEDCBA9", main, tagged)).toEqual(["o/r:Q8_0@v1"]);
  expect(ids("hf:o/r@0123abc", main, tagged)).toEqual(["o/r:Q8_0"]);
  expect(ids("hf:o/r", tagged)).toEqual([]);
  expect(ids("hf:o/r@V1", tagged)).toEqual([]);
  expect(ids("hf:o/r@012", main)).toEqual([]);
});

test("an owner in Ollama's library is none of the hub's, unless its name says so", () => {
  const tuned = { ...model("someone/tuned:latest"), source: "ollama" };
  expect(ids("someone/tuned", tuned)).toEqual(["someone/tuned:latest"]);
  expect(ids("hf:someone/tuned", tuned)).toEqual([]);
  expect(ids("hf:o/r", { ...model("hf.co/o/r:Q8_0"), source: "ollama" })).toEqual(["hf.co/o/r:Q8_0"]);
});

test("a model called exactly so is meant before any reading of the name", () => {
  expect(ids("o/r", model("o/r"), model("o/r:Q4_K_M"))).toEqual(["o/r"]);
  expect(ids("Big", model("big"), model("x", "BIG"))).toEqual(["big", "x"]);
});
