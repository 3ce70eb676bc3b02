import {
  sameModel,
  type AdvertDeployment,
  type AdvertModel,
  type ClusterState,
  type DeploymentView,
  type ModelView,
  type NodeId,
  type NodeView,
  type PredictionView,
  type StageFetchView,
} from "@clusterd/wire";
import type { DaemonState, HeadedDeployment } from "./daemon-state.ts";
import { fetchView } from "./fetch-rate.ts";
import { displayNames } from "./names.ts";
import { onDemandView } from "../on-demand/idle-policy.ts";

/** A deployment this node heads, as every member sees it. */
export function deploymentView(deployment: HeadedDeployment): DeploymentView {
  const { placement } = deployment;
  const measured = deployment.measuredTokensPerSecond;
  return {
    model: deployment.model,
    // Of the whole cluster, not of a deployment: put in where the state is asked for.
    aliases: [],
    state: deployment.phase,
    reason: deployment.failure === null ? null : `${deployment.failure.code}: ${deployment.failure.message}`,
    epoch: deployment.epoch,
    head: placement.head as NodeId,
    context: placement.context,
    slots: placement.slots,
    queue: deployment.queue,
    speculation: {
      type: placement.speculation.type,
      draft: placement.speculation.draft?.model ?? null,
      ...deployment.speculation,
    },
    layerCount: placement.model.layerCount,
    stages: placement.stages.map((stage, index) => ({
      node: stage.node as NodeId,
      firstLayer: stage.firstLayer,
      lastLayer: stage.lastLayer,
      weightBytes: stage.weightBytes,
      activeBytes: placement.model.layers
        .slice(stage.firstLayer, stage.lastLayer + 1)
        .reduce((sum, layer) => sum + layer.activeBytes, 0),
      kvBytes: stage.kvBytes,
      bufferBytes: stage.bufferBytes,
      predictedMsPerToken: stage.computeMs + stage.hopMs,
      measuredMsPerToken: measuredMs(deployment, index),
      timing: deployment.timings[index] ?? null,
      progress: deployment.progress[index] ?? 0,
      fetch: deployment.phase === "fetching" ? fetchOf(deployment, index) : null,
    })),
    predictedTokensPerSecond: placement.predicted.tokensPerSecond,
    measuredTokensPerSecond: measured,
    prediction: predictionView(deployment),
    replan: deployment.asked.replan,
    proposal: deployment.proposal,
    onDemand: onDemandView(deployment),
  };
}

function fetchOf({ fetches }: HeadedDeployment, stage: number): StageFetchView | null {
  const record = fetches[stage] ?? null;
  return record === null ? null : fetchView(record);
}

/** What was foretold, beside what came true: of steps, since what is guessed ahead is no part of the prediction. */
function predictionView({ placement: { predicted }, measured }: HeadedDeployment): PredictionView {
  const { low, high, promptTokens, timeToFirstTokenMs, tokensPerSecond } = predicted;
  const { stepsPerSecond, promptTokensPerSecond } = measured;
  return {
    low,
    high,
    promptTokens,
    timeToFirstTokenMs,
    measuredTimeToFirstTokenMs: promptTokensPerSecond === null ? null : (promptTokens / promptTokensPerSecond) * 1000,
    error: stepsPerSecond === null ? null : stepsPerSecond / tokensPerSecond - 1,
  };
}

/** A stage's own figures, or for layers on the head what the other stages leave of a token's time. */
function measuredMs({ placement, timings, measuredTokensPerSecond }: HeadedDeployment, index: number): number | null {
  const own = timings[index];
  if (own !== null && own !== undefined) return own.computeMs.p50 + own.wireMs.p50;
  if (placement.stages[index]?.node !== placement.head || measuredTokensPerSecond === null) return null;
  const others = placement.stages.flatMap((_, other) => (other === index ? [] : [timings[other] ?? null]));
  const known = others.filter((timing) => timing !== null);
  if (known.length < others.length) return null;
  return Math.max(
    0,
    1000 / measuredTokensPerSecond - known.reduce((sum, timing) => sum + timing.computeMs.p50 + timing.wireMs.p50, 0),
  );
}

/** Every deployment in the cluster: those this node heads, and those other heads tell of. */
export function allDeployments(state: DaemonState): readonly AdvertDeployment[] {
  const own = [...state.deployments.values()].map((deployment) => ({
    id: deployment.id,
    contentId: deployment.contentId,
    view: deploymentView(deployment),
  }));
  const names = displayNames(state);
  const others = [...state.others.values()].flatMap(({ advert, state: nodeState }) =>
    advert.deployments.map((deployment) =>
      nodeState === "left"
        ? {
            ...deployment,
            view: {
              ...deployment.view,
              state: "failed" as const,
              reason: `shards_unreachable: its head ${names.get(advert.node)} has left`,
            },
          }
        : deployment,
    ),
  );
  return [...own, ...others];
}

/** What `GET /cluster/v1/state` answers. */
export function clusterState(state: DaemonState): ClusterState {
  const { standing, own } = state;
  const names = displayNames(state);
  const nodes: NodeView[] = [
    {
      id: state.self,
      name: names.get(state.self) ?? own.name,
      state: "alive",
      version: own.version,
      device: own.device,
      links: own.links,
      draining: own.draining,
      engine: own.engine,
      disk: own.disk ?? null,
      held: own.held ?? [],
    },
    ...[...state.others.values()].map(({ advert, state: nodeState }) => ({
      id: advert.node,
      name: names.get(advert.node) ?? advert.name,
      state: nodeState,
      version: advert.version,
      device: advert.device,
      links: advert.links,
      draining: advert.draining,
      engine: advert.engine,
      disk: advert.disk ?? null,
      held: advert.held,
    })),
  ];
  const pending = [
    ...own.pending,
    ...[...state.others.values()].filter((other) => other.state !== "left").flatMap((other) => other.advert.pending),
  ];
  return {
    cluster:
      standing.kind === "member"
        ? { id: standing.id, name: standing.name, open: standing.open }
        : { id: "", name: "", open: false },
    self: state.self,
    standing: { kind: standing.kind, code: standing.kind === "pending" ? standing.code : null },
    nodes: nodes.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1)),
    deployments: allDeployments(state).map((deployment) => deployment.view),
    pending,
    models: modelViews(state),
    pulls: own.pulls ?? [],
    ...(own.transferLimits === undefined ? {} : { transferLimits: own.transferLimits }),
  };
}

function modelViews(state: DaemonState): readonly ModelView[] {
  const found = new Map<
    string,
    { model: AdvertModel; nodes: NodeId[]; sources: string[]; diskBytes: (number | null)[]; aliases: Set<string> }
  >();
  const add = (node: NodeId, models: readonly AdvertModel[]): void => {
    for (const model of models) {
      const entry = found.get(model.contentId) ?? { model, nodes: [], sources: [], diskBytes: [], aliases: new Set<string>() };
      if (!entry.nodes.includes(node)) {
        entry.nodes.push(node);
        entry.sources.push(model.source ?? "");
        entry.diskBytes.push(model.diskBytes ?? null);
      }
      for (const alias of model.aliases) entry.aliases.add(alias);
      if (!sameModel(model.id, entry.model.id)) entry.aliases.add(model.id);
      found.set(model.contentId, entry);
    }
  };
  add(state.self, state.own.models);
  for (const { advert, state: nodeState } of state.others.values()) if (nodeState !== "left") add(advert.node, advert.models);
  return [...found.values()].map(({ model, nodes, sources, diskBytes, aliases }) => ({
    id: model.id,
    name: model.name,
    architecture: model.architecture,
    quantisation: model.quantisation,
    fileBytes: model.fileBytes,
    layerCount: model.layerCount,
    contextMax: model.contextMax,
    nodes,
    sources,
    diskBytes,
    ...(model.path === undefined ? {} : { path: model.path }),
    aliases: [...aliases],
  }));
}
