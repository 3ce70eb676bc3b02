import {
  ClusterdError,
  asContentId,
  asDeploymentId,
  asModelId,
  asNodeId,
  sameModel,
  type ClusterState,
  type DeploymentPhase,
  type DeploymentView,
  type ModelId,
  type ModelView,
} from "@clusterd/wire";
import { fakeAliases, type FakeAliases } from "./fake-aliases.ts";
import { fakeKeys, type FakeKeys } from "./fake-keys.ts";
import type { Backend, EngineRequest, Route } from "../backend.ts";

const HEAD = { id: asNodeId("12D3KooWhead"), name: "mini-1" };

export function fakeRoute(changes: Partial<Route> = {}): Route {
  return {
    model: asModelId("demo-16l-q8_0"),
    deployment: asDeploymentId("d1"),
    phase: "ready",
    reason: null,
    head: HEAD,
    context: 1024,
    slots: 2,
    work: { active: 0, waiting: 0 },
    createdSeconds: 1_700_000_000,
    ...changes,
  };
}

/** What a scripted engine does with a request. */
export type EngineScript = (request: EngineRequest) => Promise<Response> | Response;

/** A backend whose deployments and engine are the test's own, and which remembers what was asked of it. */
export interface FakeBackend extends Backend {
  readonly keys: FakeKeys;
  readonly aliases: FakeAliases;
  setRoutes(...routes: readonly Route[]): void;
  setEngine(script: EngineScript): void;
  /** A model that is known and not loaded: what `want` does for it. */
  setKnown(model: string, want: (keepAliveSeconds: number | null | undefined) => Promise<Route | null>): void;
  setModels(...models: readonly Pick<ModelView, "id" | "contextMax" | "fileBytes">[]): void;
  change(): void;
  readonly engineRequests: readonly EngineRequest[];
  readonly calls: readonly (readonly [string, ...unknown[]])[];
  readonly listeners: number;
}

function deploymentOf(route: Route): DeploymentView {
  const stage = { predictedMsPerToken: 1, measuredMsPerToken: null, timing: null, activeBytes: 100, kvBytes: 0, bufferBytes: 0 };
  return {
    model: route.model,
    aliases: ["stable"],
    state: route.phase,
    reason: route.reason,
    epoch: 1,
    head: route.head.id,
    context: route.context,
    slots: route.slots,
    queue: { ...route.work, limit: 256 },
    speculation: { type: "ngram", draft: null, acceptance: 0.75, active: route.speculationPaused !== true },
    layerCount: 16,
    stages: [
      { ...stage, node: HEAD.id, firstLayer: 0, lastLayer: 7, weightBytes: 300, progress: 1 },
      { ...stage, node: asNodeId("12D3KooWworker"), firstLayer: 8, lastLayer: 15, weightBytes: 100, progress: 0.5 },
    ],
    predictedTokensPerSecond: 10,
    measuredTokensPerSecond: null,
    prediction: { low: 9, high: 11, promptTokens: 512, timeToFirstTokenMs: null, measuredTimeToFirstTokenMs: null, error: null },
    replan: "ask",
    proposal: null,
  };
}

export function fakeBackend(script?: EngineScript): FakeBackend {
  const listeners = new Set<() => void>();
  const engineRequests: EngineRequest[] = [];
  const calls: [string, ...unknown[]][] = [];
  const known = new Map<ModelId, (keepAliveSeconds: number | null | undefined) => Promise<Route | null>>();
  let models: readonly ModelView[] = [];
  let routes: readonly Route[] = [fakeRoute()];
  let engine: EngineScript = script ?? (() => new Response("{}"));
  const state = (): ClusterState => ({
    cluster: { id: "c1", name: "home", open: false },
    self: HEAD.id,
    standing: { kind: "member", code: null },
    nodes: [],
    deployments: routes.map(deploymentOf),
    pending: [],
    models,
  });
  return {
    node: HEAD,
    state,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    routes: () => routes,
    route: (model) => routes.find((route) => sameModel(route.model, model) || model === "stable") ?? null,
    known: (model) => [...known.keys()].find((id) => sameModel(id, asModelId(model))) ?? null,
    async want(model, keepAliveSeconds) {
      calls.push(["want", model, keepAliveSeconds]);
      const wanted = [...known].find(([id]) => sameModel(id, model));
      return wanted === undefined ? null : wanted[1](keepAliveSeconds);
    },
    keepAlive(deployment, keepAliveSeconds) {
      calls.push(["keepAlive", deployment, keepAliveSeconds]);
    },
    async fetchEngine(deployment, request) {
      if (!routes.some((route) => route.deployment === deployment)) throw new Error("asked for an unknown deployment");
      engineRequests.push(request);
      return engine(request);
    },
    async plan(body) {
      calls.push(["plan", body]);
      return {
        feasible: false,
        why: [],
        reason: "memory",
        bytesNeeded: 10,
        bytesAvailable: 4,
        shortByBytes: 6,
        suggestions: ["Add a node."],
      };
    },
    async load(body) {
      calls.push(["load", body]);
      throw new ClusterdError("does_not_fit", "It does not fit: short by 6 bytes.", { details: { shortByBytes: 6 } });
    },
    async unload(model) {
      calls.push(["unload", model]);
      return { model: asModelId(model) };
    },
    async approve(code) {
      calls.push(["approve", code]);
      return { node: asNodeId("12D3KooWnew"), name: "pi" };
    },
    async remove(node) {
      calls.push(["remove", node]);
      return { node: asNodeId(node), name: node };
    },
    async drain(node, on) {
      calls.push(["drain", node, on]);
      return { node: asNodeId(node), draining: on };
    },
    async rotate() {
      calls.push(["rotate"]);
    },
    async leave() {
      calls.push(["leave"]);
    },
    async logs(lines, node) {
      calls.push(node === undefined ? ["logs", lines] : ["logs", lines, node]);
      if (node === "nobody") throw new ClusterdError("not_found", "There is no node nobody.");
      return ["one", "two"].slice(0, lines);
    },
    async *followLogs(node, lines, signal) {
      calls.push(["follow logs", node, lines]);
      if (node === "nobody") throw new ClusterdError("not_found", "There is no node nobody.");
      try {
        yield { event: "lines", lines: ["one"], missed: 0 };
        if (node === "gone")
          yield { event: "failed", error: { code: "shards_unreachable", message: "gone is gone.", next: null } };
        else await new Promise((done) => signal.addEventListener("abort", done, { once: true }));
      } finally {
        calls.push(["followed"]);
      }
    },
    keys: fakeKeys(),
    tunnelBytes: () => ({ sent: 10, received: 20 }),
    aliases: fakeAliases(),
    pulls: {
      async look() {
        calls.push(["look"]);
      },
      async *follow(ref, options) {
        calls.push(options?.all === true ? ["pull", ref, "all"] : ["pull", ref]);
        if (ref === "hf:o/nothing") {
          const error = { code: "not_found", message: "The hub has not found it.", next: "Check the name." } as const;
          yield { event: "failed", error };
          return;
        }
        yield { event: "progress", step: "fetching", bytes: 5, totalBytes: 10, bytesPerSecond: 5, secondsLeft: 1 };
        yield { event: "done", model: "o/r:Q8_0", path: "/m/o/r/x.gguf", bytes: 10, sha256: "ab" };
      },
      cancel(ref) {
        calls.push(["cancel", ref]);
        return true;
      },
    },
    models: {
      async remove(ref, { unused }) {
        calls.push(unused ? ["rm", ref, "unused"] : ["rm", ref]);
        return { model: ref, bytes: 10, partBytes: 0, layers: unused ? "0-3" : null };
      },
      async tensors(ref) {
        calls.push(["tensors", ref]);
        if (ref === "nobody") throw new ClusterdError("not_found", "There is nothing of nobody on this node.");
        return { model: ref, contentId: asContentId("c"), source: "file", parts: [], tensors: [] };
      },
      async *verify(ref, { repair }) {
        calls.push(["verify", ref, repair]);
        if (ref === "nobody") throw new ClusterdError("not_found", "There is nothing of nobody on this node.");
        yield { event: "right", model: "o/r:Q8_0", path: "/m/o/r/x.gguf", bytes: 10 };
        yield { event: "done", files: 1, bytes: 10, damaged: 0, repaired: 0, unverifiable: 0 };
      },
    },
    setRoutes(...next) {
      routes = next;
      for (const listener of listeners) listener();
    },
    setEngine(next) {
      engine = next;
    },
    setKnown(model, want) {
      known.set(asModelId(model), want);
    },
    setModels(...next) {
      const rest = { name: "", architecture: "llama", quantisation: "Q8_0", layerCount: 1, nodes: [HEAD.id], aliases: [] };
      models = next.map((model) => ({ ...rest, ...model }));
    },
    change() {
      for (const listener of listeners) listener();
    },
    engineRequests,
    calls,
    get listeners() {
      return listeners.size;
    },
  };
}

/** Every phase but the one that answers. */
export const WAITING_PHASES: readonly DeploymentPhase[] = ["planning", "fetching", "loading", "recovering", "draining"];
