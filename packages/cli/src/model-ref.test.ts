import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { ClusterState } from "@clusterd/wire";
import { absoluteRef, findDeployment, findDeployments } from "./model-ref.ts";

const cwd = await mkdtemp(join(tmpdir(), "clusterd-ref-"));
afterAll(() => rm(cwd, { recursive: true, force: true }));
await mkdir(join(cwd, "blobs"));
await writeFile(join(cwd, "blobs", "sha256-ab"), "x");

test.each([
  ["m.gguf", join(cwd, "m.gguf")],
  ["./m", join(cwd, "m")],
  ["../m-00002-of-00003.gguf", join(cwd, "..", "m-00002-of-00003.gguf")],
  ["/abs/m.gguf", "/abs/m.gguf"],
  ["~/m.gguf", join(homedir(), "m.gguf")],
  ["blobs/sha256-ab", join(cwd, "blobs", "sha256-ab")],
  ["blobs/sha256-cd", "blobs/sha256-cd"],
  ["hf:o/r:Q8_0@v1", "hf:o/r:Q8_0@v1"],
  ["HF:o/r", "hf:o/r"],
  ["o/r:Q8_0", "o/r:Q8_0"],
  ["demo", "demo"],
])("%s is sent as %s", (ref, sent) => {
  expect(absoluteRef(ref, cwd)).toBe(sent);
});

const state = (deployments: readonly object[]): ClusterState =>
  ({ models: [{ id: "O/R:Q8_0", aliases: ["O/R:Q8_0@0123abcd0123"] }], deployments }) as unknown as ClusterState;
const deployment = (model: string, phase = "ready", ...aliases: string[]): object => ({ model, aliases, state: phase });

test("a deployment is found by its model's id, REF and aliases; a ready one before others", () => {
  const all = state([deployment("O/R:Q8_0", "failed"), deployment("O/R:Q8_0", "ready", "chat"), deployment("big")]);
  for (const ref of ["hf:o/r", "o/r:q8_0", "hf:o/r@main", "hf:o/r@0123abcd", "O/R"])
    expect(findDeployments(all, ref), ref).toHaveLength(2);
  expect(findDeployment(all, "hf:o/r")?.state).toBe("ready");
  expect(findDeployment(all, "chat")?.model).toBe("O/R:Q8_0");
  expect(findDeployment(all, "/models/big-00002-of-00004.gguf")?.model).toBe("big");
  for (const ref of ["hf:o/r@v1", "hf:o/r:Q4_K_M", "other"]) expect(findDeployments(all, ref), ref).toEqual([]);
});
