import { describe, expect, test } from "vitest";
import { chooseFiles, type HubFile } from "./choose-files.ts";
import { hubConfig } from "./hub-config.ts";
import { parseHubRef } from "./hub-ref.ts";
import { parseListing } from "./list-repository.ts";

const files = (...paths: string[]): HubFile[] => paths.map((path) => ({ path, bytes: 1, sha256: null }));
const chosen = (all: HubFile[], wanted: string | null = null): readonly string[] =>
  chooseFiles("o/r", all, wanted).files.map((file) => file.path);

describe("the files of a quantisation", () => {
  test.each([
    ["Qwen3-8B-Q4_K_M.gguf", "Q4_K_M"],
    ["qwen2.5-7b-instruct-q4_k_m.gguf", "q4_k_m"],
    ["llama-2-7b.Q5_K_S.gguf", "Q5_K_S"],
    ["gpt-oss-20b-mxfp4.gguf", "mxfp4"],
    ["DeepSeek-R1-UD-IQ1_S.gguf", "UD-IQ1_S"],
    ["model-BF16.gguf", "BF16"],
    ["ggml-model-fp16.gguf", "fp16"],
    ["Q6_K/thing.gguf", "Q6_K"],
    ["odd-name.gguf", "odd-name"],
  ])("are known by the name: %s", (path, quantisation) => {
    expect(chooseFiles("o/r", files(path), null).quantisation).toBe(quantisation);
  });

  test("are Q4_K_M where several are there and none is named, whatever lies beside", () => {
    const all = files("README.md", "mmproj-model-f16.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-imatrix.gguf");
    expect(chosen(all)).toEqual(["m-Q4_K_M.gguf"]);
    expect(chosen(all, "q8_0")).toEqual(["m-Q8_0.gguf"]);
  });

  test("are all parts of a split one, in order", () => {
    const part = (number: number): string => `Q4_K_M/big-Q4_K_M-0000${number}-of-00003.gguf`;
    expect(chosen(files(part(3), part(1), part(2), "Q8_0/big-Q8_0.gguf"))).toEqual([part(1), part(2), part(3)]);
    expect(() => chosen(files(part(3), part(1), "x-Q8_0.gguf"))).toThrow(/2 of the 3 parts/u);
  });

  test("an uploader's own mixture is meant by its short name where there is no other", () => {
    expect(chosen(files("m-UD-Q4_K_XL.gguf", "m-Q8_0.gguf"), "Q4_K_XL")).toEqual(["m-UD-Q4_K_XL.gguf"]);
    expect(chosen(files("m-UD-Q8_0.gguf", "m-Q8_0.gguf"), "Q8_0")).toEqual(["m-Q8_0.gguf"]);
  });

  test("that are not there are told with those that are", () => {
    const all = files("m-Q8_0.gguf", "m-Q2_K.gguf");
    expect(() => chosen(all)).toThrow(
      expect.objectContaining({ code: "not_found", next: expect.stringContaining("Q8_0, Q2_K") }),
    );
    expect(() => chosen(files("model.safetensors"))).toThrow(/no GGUF/u);
    expect(() => chosen(files("a-Q8_0.gguf", "b-Q8_0.gguf"), "Q8_0")).toThrow(/several models in Q8_0/u);
  });
});

describe("a reference", () => {
  test("has a repository, and may have a quantisation and a revision", () => {
    expect(parseHubRef("hf:unsloth/Qwen3-8B-GGUF")).toEqual({
      repo: "unsloth/Qwen3-8B-GGUF",
      quantisation: null,
      revision: "main",
    });
    expect(parseHubRef("hf:a/b:UD-Q4_K_XL@refs/pr/1")).toEqual({
      repo: "a/b",
      quantisation: "UD-Q4_K_XL",
      revision: "refs/pr/1",
    });
  });

  test.each([
    "hf:a",
    "hf:a/b/c",
    "hf:../b",
    "hf:a/..",
    "hf:a/b:",
    "hf:a/b@../../x",
    "hf:a b/c",
    "hf:a/b?x=1",
    `hf:a/${"b".repeat(200)}`,
  ])("of another shape is refused: %s", (ref) => {
    expect(() => parseHubRef(ref)).toThrow(expect.objectContaining({ code: "usage" }));
  });
});

describe("the environment", () => {
  test("names a hub, or none", () => {
    expect(hubConfig({})).toEqual({ endpoint: "https://huggingface.co", token: null, offline: false });
    expect(hubConfig({ HF_ENDPOINT: "http://127.0.0.1:8080/hub/", HF_TOKEN: " hf_x\n", HF_HUB_OFFLINE: "1" })).toEqual({
      endpoint: "http://127.0.0.1:8080/hub",
      token: "hf_x",
      offline: true,
    });
  });

  test.each([{ HF_ENDPOINT: "ftp://x" }, { HF_ENDPOINT: "not an address" }, { HF_TOKEN: "a b" }])(
    "is refused where it cannot be meant",
    (env) => {
      expect(() => hubConfig(env)).toThrow(expect.objectContaining({ code: "usage" }));
    },
  );
});

test("a listing leaves out names that no path should have", () => {
  const siblings = ["ok.gguf", "a/ok.gguf", "../up.gguf", "/root.gguf", "a//b.gguf", "a\\b.gguf", "a\nb.gguf", 7].map(
    (rfilename) => ({
      rfilename,
      size: 5,
    }),
  );
  expect(parseListing(JSON.stringify({ sha: "abcdef1", siblings }))?.files.map((file) => file.path)).toEqual([
    "ok.gguf",
    "a/ok.gguf",
  ]);
  expect(parseListing("<html>")).toBeNull();
  expect(parseListing('{"sha":"../x","siblings":[]}')).toBeNull();
});
