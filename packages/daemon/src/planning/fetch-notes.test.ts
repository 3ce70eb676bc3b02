import { expect, test } from "vitest";
import {
  asContentId,
  asModelId,
  asNodeId,
  type Advert,
  type LayerProfile,
  type ModelProfile,
  type NodeId,
  type PlanStage,
} from "@clusterd/wire";
import type { DaemonState } from "../state/daemon-state.ts";
import { fetchesFor, fetchNotes } from "./fetch-notes.ts";
import { missingText, notAllThere, partNamed, placesOf } from "./model-places.ts";

const [A, B, C] = [asNodeId("a"), asNodeId("b"), asNodeId("c")];
const content = asContentId("ab");
const layer = { weightBytes: 1e9 } as LayerProfile;
const profile = {
  id: asModelId("o/r:Q8_0"),
  contentId: content,
  layers: Array.from({ length: 10 }, () => layer),
  nextTokenLayers: 0,
  inputBytes: 2e8,
  outputBytes: 3e8,
} as unknown as ModelProfile;
const part = (layers: string, hasHead: boolean): Pick<Advert, "models" | "held"> => ({
  models: [],
  held: [{ contentId: content, model: profile.id, layers, hasHead, diskBytes: 1, fetching: null }],
});
const whole = { models: [{ contentId: content, id: profile.id, aliases: [] }], held: [] };
const nothing = { models: [], held: [] };
const names = new Map<NodeId, string>([
  [A, "a"],
  [B, "b"],
  [C, "c"],
]);

function stateOf(own: object, b: object, c: object, cState = "alive"): DaemonState {
  const other = (node: NodeId, facts: object, state: string): object => ({
    advert: { node, name: node, device: { accelerators: [] }, ...facts },
    state,
  });
  const others = new Map([
    [B, other(B, b, "alive")],
    [C, other(C, c, cState)],
  ]);
  return { self: A, own: { name: "a", device: { accelerators: [] }, ...own }, others } as unknown as DaemonState;
}

const stage = (node: string, firstLayer: number, lastLayer: number): PlanStage => ({ node, firstLayer, lastLayer }) as PlanStage;
const placement = { head: "a", stages: [stage("a", 0, 3), stage("b", 4, 6), stage("c", 7, 9)] };
const links = {
  rttMs: 1,
  bytesPerSecond: 1e8,
  pairs: [
    { a: "a", b: "b", rttMs: 1, bytesPerSecond: 1e8 },
    { a: "a", b: "c", rttMs: 1, bytesPerSecond: 1e8 },
  ],
};

test("each node that lacks something is named, with how much, from whom and for how long; who shares a holder waits longer", () => {
  const places = placesOf(stateOf(whole, part("4-5", false), nothing), profile);
  expect(places.missing.bytes).toBe(0);
  const fetches = fetchesFor({ profile, placement, places, names, links, hub: null });
  expect(fetches).toEqual([
    { node: "b", bytes: 1e9, from: ["a"], seconds: 40 },
    { node: "c", bytes: 3e9, from: ["a"], seconds: 40 },
  ]);
  expect(fetchNotes(fetches)).toEqual([
    "b fetches 1.0 GB from a, about 40 s at the measured link.",
    "c fetches 3.0 GB from a, about 40 s at the measured link.",
  ]);
});

test("from the hub what no member has, the head the embeddings and the output as well", () => {
  const places = placesOf(stateOf(nothing, nothing, part("7-9", false)), profile);
  expect(missingText(places.missing)).toBe("layers 0-6, the embeddings and the output (7.5 GB)");
  const fetches = fetchesFor({ profile, placement, places, names, links, hub: "the hub" });
  expect(fetchNotes(fetches)).toEqual(["a fetches 4.5 GB from the hub.", "b fetches 3.0 GB from the hub."]);
});

test("what is missing is named with who had it last, and what to do", () => {
  const state = stateOf(part("0-3", true), part("4-6", false), part("7-9", false), "left");
  const { missing } = placesOf(state, profile);
  expect(missing).toEqual({ layers: [7, 8, 9], head: false, bytes: 3e9 });
  const refusal = notAllThere(state, profile.id, profile, missing);
  expect(refusal).toMatchObject({
    code: "shards_unreachable",
    message: "No node that is there has layers 7-9 (3.0 GB) of o/r:Q8_0. c had it last.",
    next: "Start c again, or fetch it anew where the hub can be reached: clusterd load hf:o/r:Q8_0.",
    details: { missingLayers: "7-9", missingBytes: 3e9, lastOn: ["c"] },
  });
  // Its control: with it, nothing is missing.
  const back = stateOf(part("0-3", true), part("4-6", false), part("7-9", false));
  expect(placesOf(back, profile).missing).toEqual({ layers: [], head: false, bytes: 0 });
});

test("a reference without a quantisation means the part there is; one with another, or of another revision, none", () => {
  const state = stateOf(part("0-3", true), nothing, nothing);
  for (const ref of ["hf:o/r", "o/r:q8_0", "hf:O/R:Q8_0@main"]) expect(partNamed(state, ref)?.part.layers, ref).toBe("0-3");
  for (const ref of ["hf:o/r:Q5_K_M", "hf:o/r@v1", "big"]) expect(partNamed(state, ref), ref).toBeNull();
});
