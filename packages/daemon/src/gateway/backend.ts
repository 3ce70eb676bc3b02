import { isAbsolute } from "node:path";
import type { Backend, Keys, Route } from "@clusterd/gateway";
import type { Catalog } from "@clusterd/catalog";
import type { DataPlane, Mesh } from "@clusterd/mesh";
import { ClusterdError, type AdvertDeployment, type DeploymentId, type NodeId, type UpstreamView } from "@clusterd/wire";
import type { AliasBook } from "../aliases/alias-book.ts";
import { createLogReader } from "../logs/read-logs.ts";
import type { LogRing } from "../logs/log-ring.ts";
import { isLost } from "../on-demand/known-models.ts";
import type { LoadOnRequest } from "../on-demand/load-on-request.ts";
import type { Deployer } from "../planning/deploy.ts";
import { displayNames, findNode } from "../state/names.ts";
import type { Verifier } from "../keeping/verifier.ts";
import type { Pulls } from "../pulls/pulls.ts";
import { modelAmongMembers } from "../swarm/swarm-members.ts";
import type { Manifests } from "../weights/manifests.ts";
import { removeModel, removeUnused, type RemoveConfig } from "../pulls/remove-model.ts";
import type { Store } from "../state/store.ts";
import { clusterState } from "../state/view.ts";
import type { EngineReach } from "./engine-reach.ts";
import { createExpectedWork } from "./expected-work.ts";
import { fetchWithFailOver } from "./fail-over.ts";
import { contentOf, readyReplica, replicaFor, routesOf } from "./routes.ts";
import { createWarmPrefixes } from "./warm-prefixes.ts";
import { createWorkEstimates } from "./work-estimates.ts";

/** Changes that come faster are told together. */
const CHANGE_MS = 50;
const ASK_MS_MAX = 10_000;
const CREATED_MAX = 1_000;

export interface BackendConfig {
  readonly store: Store;
  readonly mesh: Mesh;
  readonly deployer: Deployer;
  readonly onDemand: LoadOnRequest;
  readonly engines: EngineReach;
  readonly aliases: AliasBook;
  readonly log: LogRing;
  /** Ends with the daemon. */
  readonly signal: AbortSignal;
  /** Told of in this node's own state; never sent to other nodes. */
  readonly upstreams: readonly UpstreamView[];
  setDraining(on: boolean): void;
  leave(): Promise<void>;
  readonly keys: Keys;
  readonly dataPlane: Pick<DataPlane, "traffic">;
  readonly pulls: Pulls;
  /** The models on this disk. */
  readonly kept: Omit<RemoveConfig, "store" | "catalog"> & { readonly verifier: Pick<Verifier, "verify"> };
  readonly catalog: Catalog;
  /** A model came or went on this node. */
  modelsChanged(): void;
  readonly manifests: Pick<Manifests, "of">;
  /** Looks at what is on this node's disk now. */
  lookAtModels(): Promise<void>;
}

/** What the HTTP surface sees of this node. */
export function createBackend(config: BackendConfig): Backend {
  const { store, mesh, deployer, onDemand, engines, aliases, upstreams, signal } = config;
  const warm = createWarmPrefixes();
  const expected = createExpectedWork(() => performance.now());
  const ownWork = (deployment: DeploymentId): number => engines.workAt(deployment) + expected.at(deployment);
  const estimates = createWorkEstimates();
  // Of what this node heads it knows all.
  const workOf = ({ id, view }: AdvertDeployment): number =>
    view.head === mesh.self ? ownWork(id) : estimates.of(id, view.queue, ownWork(id));
  const logs = createLogReader({ self: mesh.self, log: config.log, ask: mesh.request });
  const created = new Map<DeploymentId, number>();
  const createdSeconds = (id: DeploymentId): number => {
    const known = created.get(id);
    if (known !== undefined) return known;
    const now = Math.floor(Date.now() / 1000);
    created.set(id, now);
    const [oldest] = created.keys();
    if (created.size > CREATED_MAX && oldest !== undefined) created.delete(oldest);
    return now;
  };
  const routes = (): readonly Route[] => routesOf(store.state, createdSeconds);
  /** A path means the model that this node knows there; anything else is a name. */
  const named = (name: string): string => (isAbsolute(name) ? (config.catalog.known(name)?.profile.id ?? name) : name);
  function nodeNamed(name: string): { readonly node: NodeId; readonly name: string } {
    const node = findNode(store.state, name);
    if (node === null)
      throw new ClusterdError("not_found", `There is no node ${JSON.stringify(name)} in the cluster.`, {
        next: `Nodes: ${[...displayNames(store.state).values()].join(", ")}.`,
        param: "node",
      });
    return { node, name: displayNames(store.state).get(node) ?? name };
  }

  return {
    node: {
      id: mesh.self,
      get name() {
        return displayNames(store.state).get(mesh.self) ?? store.state.own.name;
      },
    },
    state() {
      const state = clusterState(store.state);
      const deployments = state.deployments.map((view) => ({ ...view, aliases: aliases.namesOf(view.model) }));
      return { ...state, deployments, ...(upstreams.length === 0 ? {} : { upstreams }) };
    },
    onChange(listener) {
      let timer: NodeJS.Timeout | null = null;
      const changed = (): void => {
        timer ??= setTimeout(() => {
          timer = null;
          listener();
        }, CHANGE_MS);
      };
      const unsubscribe = [store.subscribe(changed), aliases.onChange(changed)];
      return () => {
        for (const end of unsubscribe) end();
        if (timer !== null) clearTimeout(timer);
      };
    },
    routes,
    route(sent, conversation) {
      const known = conversation ?? null;
      const name = named(sent);
      const model = conversation === undefined ? aliases.targetOf(name) : aliases.meant(name, conversation);
      const found = replicaFor(store.state, model, { conversation: known, warm: warm.of(known), workOf });
      if (found !== null && conversation !== undefined) {
        warm.note(conversation, found);
        expected.expect(found);
        estimates.sent(found, ownWork(found));
      }
      // What its head took along is loaded anew where another node has it.
      if (found === null || (isLost(store.state, found) && onDemand.known(name) !== null)) return null;
      return routes().find((route) => route.deployment === found) ?? null;
    },
    known: (model) => {
      const found = onDemand.known(aliases.targetOf(named(model)));
      return found === null ? null : found.id;
    },
    async want(model, keepAliveSeconds) {
      const found = onDemand.known(aliases.targetOf(named(model)));
      if (found === null) return null;
      const deployment = await onDemand.want(found, keepAliveSeconds);
      return routes().find((route) => route.deployment === deployment) ?? null;
    },
    keepAlive(deployment, keepAliveSeconds) {
      const within = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)]);
      // A head that cannot be told keeps to what it knows.
      void deployer.keep(deployment, { keepAliveSeconds }, within).catch(() => undefined);
    },
    fetchEngine(deployment, request) {
      expected.came(deployment);
      const content = contentOf(store.state, deployment);
      const another = (tried: ReadonlySet<DeploymentId>): DeploymentId | null =>
        content === null ? null : readyReplica(store.state, content, tried, workOf);
      return fetchWithFailOver(deployment, request, { fetch: engines.fetch, another });
    },
    plan: (body) => deployer.plan({ ...body, model: aliases.targetOf(body.model) }, signal),
    async load(body) {
      if (body.as !== undefined) aliases.checkName(body.as);
      const loaded = await deployer.load({ ...body, model: aliases.targetOf(body.model) }, signal);
      if (body.as !== undefined) await aliases.change({ alias: body.as, action: "set", model: loaded.model });
      return loaded;
    },
    unload: (model) => deployer.unload(aliases.targetOf(model), signal),
    async approve(code) {
      const digits = code.replace(/\D/g, "");
      const waits = clusterState(store.state).pending.find((entry) => entry.code.replace(/\D/g, "") === digits);
      if (waits !== undefined && waits.askedNode !== mesh.self) {
        const answer = await mesh.request(
          waits.askedNode,
          { type: "approve", code },
          { signal: AbortSignal.timeout(ASK_MS_MAX) },
        );
        return { node: answer.node as NodeId, name: answer.name };
      }
      const { node, name } = await mesh.approve(code);
      return { node, name };
    },
    async remove(name) {
      const found = nodeNamed(name);
      if (found.node === mesh.self)
        throw new ClusterdError("invalid_request", "A node does not remove itself.", {
          next: "Use: clusterd leave",
          param: "node",
        });
      await mesh.remove(found.node);
      return found;
    },
    async drain(name, on) {
      const { node } = nodeNamed(name);
      if (node === mesh.self) config.setDraining(on);
      else await mesh.request(node, { type: "drain", on }, { signal: AbortSignal.timeout(ASK_MS_MAX) });
      return { node, draining: on };
    },
    rotate: () => mesh.rotate(),
    leave: () => config.leave(),
    logs: async (lines, name) => (name === undefined ? config.log.last(lines) : logs.last(nodeNamed(name), lines)),
    followLogs: (name, lines, within) => logs.follow(nodeNamed(name ?? mesh.self), lines, AbortSignal.any([signal, within])),
    keys: config.keys,
    tunnelBytes: () => config.dataPlane.traffic,
    aliases,
    pulls: {
      follow: (ref, options) => config.pulls.follow(options?.all === true ? aliases.targetOf(ref) : ref, options),
      cancel: (ref) => config.pulls.cancel(ref) || config.pulls.cancel(aliases.targetOf(ref)),
      look: () => config.lookAtModels(),
    },
    models: {
      remove: (ref, { unused }) => (unused ? removeUnused : removeModel)({ ...config, ...config.kept }, aliases.targetOf(ref)),
      async tensors(ref) {
        const name = aliases.targetOf(ref);
        const here = config.catalog.known(name)?.profile ?? modelAmongMembers(store.state, name);
        // A path, or nobody's name, which is said there.
        const { contentId, id } = here ?? (await config.catalog.resolve(name, signal)).profile;
        const manifest = await config.manifests.of(contentId, signal);
        if (manifest === null)
          throw new ClusterdError("not_found", `There is nothing of ${id} on this node.`, {
            next: "Ask on a node that has it, or a part of it: clusterd models",
          });
        const { source, parts, tensors } = manifest;
        return { model: id, contentId, source, parts, tensors };
      },
      verify: (ref, { repair }) =>
        config.kept.verifier.verify({ ref: ref === null ? null : aliases.targetOf(ref), repairs: repair }),
    },
  };
}
