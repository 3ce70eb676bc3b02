import { fc } from "@fast-check/vitest";
import { readModelFile } from "@clusterd/catalog";
import { asDeploymentId, asModelId, asNodeId, type AdvertDeployment, type DeviceInfo, type ModelProfile } from "@clusterd/wire";
import { beforeAll, expect, test } from "vitest";
import { BUNDLED_MODELS } from "../offline/bundled-models.ts";
import type { DaemonState, PlanWish } from "../state/daemon-state.ts";
import { decidingNode, isLost, knownModel } from "./known-models.ts";
import { findRoom, isRoom, withEvictions } from "./make-room.ts";

const [SELF, OTHER] = [asNodeId("self"), asNodeId("other")];
const ROOM = 1e9;
const WISH: PlanWish = {
  ...{ objective: "latency", head: null, pins: [], without: [], context: null },
  ...{ slots: 1, kv: "f16", flashAttention: true, speculation: "off", draft: null },
};
let model: ModelProfile;

beforeAll(async () => {
  const { signal } = new AbortController();
  model = (await readModelFile(BUNDLED_MODELS[0]?.path ?? "", { signal })).profile;
});

/** What another node tells of a deployment that takes memory here. */
function deployed(name: string, megabytes: number, stay: "person" | "busy" | number): AdvertDeployment {
  const stage = { node: SELF, weightBytes: megabytes * 1e6, kvBytes: 0, bufferBytes: 0 };
  const onDemand =
    stay === "person" ? null : { keepAliveSeconds: 60, idle: stay !== "busy", usedAt: stay === "busy" ? 0 : stay, until: null };
  const view = { model: asModelId(name), state: "ready", head: OTHER, stages: [stage], onDemand };
  return { id: asDeploymentId(name), contentId: `c-${name}`, view } as unknown as AdvertDeployment;
}

/** One machine that can be head, with so much memory, and another that tells of what is deployed. */
function stateWith(deployments: readonly AdvertDeployment[], memoryBytes = ROOM): DaemonState {
  const device: DeviceInfo = {
    ...{ platform: "linux-x64", chip: "chip", memoryBytesTotal: memoryBytes, memoryBytesFree: memoryBytes },
    ...{ memoryBytesBudget: memoryBytes, bandwidthBytesPerSecond: 1e10, bandwidthSource: "flag", accelerators: [] },
  };
  const models = [{ contentId: model.contentId, id: model.id, aliases: ["demo"] }];
  const advert = { node: OTHER, name: "other", device: { ...device, memoryBytesBudget: 1 }, links: [], models: [], deployments };
  return {
    self: SELF,
    own: { name: "self", device, links: [], models, draining: false },
    others: new Map([[OTHER, { advert: { ...advert, draining: false }, state: "alive" }]]),
    deployments: new Map(),
  } as unknown as DaemonState;
}
const roomIn = (...deployments: readonly AdvertDeployment[]) => findRoom(stateWith(deployments), model, WISH, new Set());
const goneIn = (...deployments: readonly AdvertDeployment[]): readonly string[] | null => {
  const found = roomIn(...deployments);
  return isRoom(found) ? found.evict.map(({ id }) => id).sort() : null;
};

test("what fits beside all sends nobody away", () => {
  expect(goneIn(deployed("a", 300, 1), deployed("b", 300, 2))).toEqual([]);
});

test("the least recently used go, as few as are needed; neither what works nor a person's", () => {
  expect(goneIn(deployed("new", 400, 9), deployed("old", 400, 1), deployed("mid", 190, 5))).toEqual(["old"]);
  expect(goneIn(deployed("a", 10, 1), deployed("b", 980, 2))).toEqual(["b"]);
  expect(goneIn(deployed("a", 980, "person"), deployed("b", 10, 2))).toBe(null);
  expect(goneIn(deployed("a", 500, "busy"), deployed("b", 490, 2))).toEqual(["b"]);
});

test("a plan says what goes for it", () => {
  const found = roomIn(deployed("a", 980, 1));
  expect(isRoom(found) && withEvictions(found).notes.join(" ")).toContain("a would be unloaded");
});

test("the refusal names what would make room: what works by itself, what a person's is by name and command", () => {
  const busy = roomIn(deployed("a", 980, "busy"));
  expect(busy).toMatchObject({ waitsFor: ["a"], refusal: { suggestions: expect.arrayContaining(["Once a is idle, it fits."]) } });
  const person = roomIn(deployed("p", 600, "person"), deployed("q", 380, 1), deployed("r", 10, "person"));
  expect(person).toMatchObject({ evict: [{ id: "q" }] });
  const kept = roomIn(deployed("p", 980, "person"));
  expect(kept).toMatchObject({
    waitsFor: [],
    refusal: { suggestions: expect.arrayContaining([expect.stringContaining("clusterd unload p")]) },
  });
  // Where nothing helps nothing is promised.
  const never = findRoom(stateWith([deployed("p", 1, "person")], 1e6), model, WISH, new Set());
  expect(JSON.stringify(never)).not.toContain("clusterd unload");
});

test("whatever is deployed: only idle ones of requests go, it fits then, and not without each of them", () => {
  const stay = fc.oneof(fc.constantFrom("person" as const, "busy" as const), fc.nat(9));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 700 }), stay), { maxLength: 5 }), (each) => {
      const all = each.map(([megabytes, kept], index) => deployed(`m${index}`, megabytes, kept));
      const found = roomIn(...all);
      const idle = all.filter(({ view }) => view.onDemand?.idle === true);
      const without = (gone: readonly AdvertDeployment[]) => roomIn(...all.filter((one) => !gone.includes(one)));
      if (!isRoom(found)) {
        expect(isRoom(without(idle))).toBe(false);
        return;
      }
      for (const one of found.evict) expect(idle).toContain(one);
      const after = without(found.evict);
      expect(isRoom(after) && after.evict.length === 0).toBe(true);
      for (const one of found.evict) {
        const spared = without(found.evict.filter((other) => other !== one));
        expect(isRoom(spared) && spared.evict.length === 0 && spared.plan.context >= found.plan.context).toBe(false);
      }
    }),
    { numRuns: 50 },
  );
});

test("a model is known by its id and by every alias, while a node that has it is there; one node decides", () => {
  const state = stateWith([deployed("a", 1, 1)]);
  for (const name of ["demo", " DEMO ", model.id]) expect(knownModel(state, name)?.contentId).toBe(model.contentId);
  expect(knownModel(state, "another")).toBe(null);
  expect(decidingNode(state)).toBe(OTHER);
  const other = state.others.get(OTHER);
  if (other === undefined) throw new Error("there is another node");
  const left: DaemonState = { ...state, others: new Map([[OTHER, { ...other, state: "left" }]]) };
  expect(decidingNode(left)).toBe(SELF);
  expect([isLost(state, asDeploymentId("a")), isLost(left, asDeploymentId("a"))]).toEqual([false, true]);
  const theirs = { ...left, own: { ...left.own, models: [] } };
  expect(
    knownModel(
      { ...theirs, others: new Map([[OTHER, { ...other, advert: { ...other.advert, models: state.own.models } }]]) },
      "demo",
    ),
  ).not.toBe(null);
  expect(
    knownModel(
      {
        ...theirs,
        others: new Map([[OTHER, { ...other, state: "left", advert: { ...other.advert, models: state.own.models } }]]),
      },
      "demo",
    ),
  ).toBe(null);
});
