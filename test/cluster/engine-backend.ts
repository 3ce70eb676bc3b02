import type { Head } from "../../packages/engine/src/index.ts";
import type { Backend, Route } from "../../packages/gateway/src/index.ts";
import {
  ClusterdError,
  asDeploymentId,
  asModelId,
  asNodeId,
  type ClusterState,
  type InfillTokens,
} from "../../packages/wire/src/index.ts";

const NODE = { id: asNodeId("12D3KooWtest"), name: "test-node" };

function unused(): never {
  throw new ClusterdError("unsupported", "This backend is an engine alone.");
}

/** A gateway's backend with one deployment: the given llama-server. */
export function engineBackend(
  head: Pick<Head, "port" | "apiKey">,
  deployed: { readonly model: string; readonly context: number; readonly slots: number; readonly infill?: InfillTokens | null },
): Backend {
  const state = { deployments: [], nodes: [], models: [] } as unknown as ClusterState;
  const route: Route = {
    ...deployed,
    model: asModelId(deployed.model),
    deployment: asDeploymentId("d1"),
    phase: "ready",
    reason: null,
    head: NODE,
    work: { active: 0, waiting: 0 },
    createdSeconds: 0,
  };
  return {
    node: NODE,
    state: () => state,
    onChange: () => () => {},
    routes: () => [route],
    route: (model) => (model.toLowerCase() === deployed.model.toLowerCase() ? route : null),
    known: () => null,
    want: async () => null,
    keepAlive: () => {},
    fetchEngine: (_, { method, path, body, signal }) =>
      fetch(`http://127.0.0.1:${head.port}${path}`, {
        method,
        body,
        signal,
        headers: { authorization: `Bearer ${head.apiKey}`, "content-type": "application/json" },
      }),
    plan: unused,
    load: unused,
    unload: unused,
    approve: unused,
    remove: unused,
    drain: unused,
    rotate: unused,
    leave: unused,
    logs: () => Promise.resolve([]),
    followLogs: unused,
    pulls: { look: () => Promise.resolve(), follow: unused, cancel: unused },
    models: { remove: unused, verify: unused, tensors: unused },
    tunnelBytes: () => null,
    keys: { check: () => null, take: () => null, spend: () => {}, list: () => [], create: unused, revoke: unused },
    aliases: { list: () => [], change: unused, meant: (name) => name },
  };
}
