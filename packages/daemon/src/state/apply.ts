import { CLUSTER_NODES_MAX, isNewer, type DeploymentId, type LinkView, type NodeId } from "@clusterd/wire";
import type { DaemonState, HeadedDeployment, MeasuredRecord, OtherNode, StateEvent, UseRecord } from "./daemon-state.ts";
import { afterCrash } from "./crash-policy.ts";
import { afterWord } from "./fetch-rate.ts";

/** Of a deployment that is not up. */
export const UNUSED: UseRecord = { idleSinceMs: null, usedAt: 0, served: false };

/** Of a placement that has not answered anything yet. */
export const UNMEASURED: MeasuredRecord = { stepsPerSecond: null, promptTokensPerSecond: null };

/** The one place where state changes: pure, total, and the same state where an event says nothing new. */
export function apply(state: DaemonState, event: StateEvent): DaemonState {
  switch (event.type) {
    case "standing":
      // Outside a cluster nobody else is known.
      return { ...state, standing: event.standing, others: event.standing.kind === "member" ? state.others : new Map() };
    case "own":
      return { ...state, own: { ...state.own, ...event.facts } };
    case "link": {
      // Heartbeats serve until the link is measured as tunnels use it.
      const known = state.own.links.find((link) => link.to === event.to);
      if ((known?.measuredAt ?? null) !== null) return state;
      return withLink(state, { to: event.to, rttMs: event.rttMs, bytesPerSecond: 0 });
    }
    case "link-measured":
      return withLink(state, event.link);
    case "advert": {
      const { advert } = event;
      if (advert.node === state.self) return state;
      const known = state.others.get(advert.node);
      if (known !== undefined && !isNewer(advert, known.advert)) return state;
      if (known === undefined && state.others.size >= CLUSTER_NODES_MAX) return state;
      return withOther(state, advert.node, { advert, state: "alive" });
    }
    case "node-state": {
      const known = state.others.get(event.node);
      return known === undefined || known.state === event.state
        ? state
        : withOther(state, event.node, { ...known, state: event.state });
    }
    case "removed": {
      const others = new Map(state.others);
      others.delete(event.node);
      return { ...state, others, own: { ...state.own, links: state.own.links.filter((link) => link.to !== event.node) } };
    }
    default:
      return applyToDeployment(state, event);
  }
}

type DeploymentEvent = Extract<StateEvent, { type: `deployment-${string}` }>;

function applyToDeployment(state: DaemonState, event: DeploymentEvent): DaemonState {
  if (event.type === "deployment-wanted") return withDeployment(state, event.deployment.id, event.deployment);
  if (event.type === "deployment-gone") return withDeployment(state, event.id, null);
  const deployment = state.deployments.get(event.id);
  if (deployment === undefined) return state;
  return withDeployment(state, event.id, changed(deployment, event));
}

function changed(
  deployment: HeadedDeployment,
  event: Exclude<DeploymentEvent, { type: "deployment-wanted" | "deployment-gone" }>,
): HeadedDeployment {
  switch (event.type) {
    case "deployment-unwanted":
      return { ...deployment, wanted: false, phase: "draining" };
    case "deployment-starting":
      return {
        ...deployment,
        phase: "loading",
        use: UNUSED,
        epoch: deployment.epoch + 1,
        progress: deployment.placement.stages.map(() => 0),
        fetches: [],
        speculation: { acceptance: null, active: deployment.placement.speculation.type !== "off" },
      };
    case "deployment-fetching":
      // Of the fetching and of the loading after it: each from nothing to all.
      return deployment.phase === "loading" || deployment.phase === "fetching"
        ? {
            ...deployment,
            phase: event.over ? "loading" : "fetching",
            progress: deployment.progress.map(() => 0),
            fetches: deployment.progress.map(() => null),
          }
        : deployment;
    case "deployment-fetched": {
      if (deployment.phase !== "fetching") return deployment;
      const { stage, doneBytes, totalBytes } = event;
      return {
        ...deployment,
        progress: deployment.progress.map((was, index) =>
          index === stage ? Math.max(was, totalBytes === 0 ? 1 : doneBytes / totalBytes) : was,
        ),
        fetches: deployment.progress.map((_, index) => {
          const record = deployment.fetches[index] ?? null;
          return index === stage ? afterWord(record, event) : record;
        }),
      };
    }
    case "deployment-progress":
      return {
        ...deployment,
        progress: deployment.progress.map((was, index) => (index === event.stage ? Math.max(was, event.progress) : was)),
      };
    case "deployment-ready":
      return {
        ...deployment,
        phase: "ready",
        failure: null,
        progress: deployment.progress.map(() => 1),
        measuredTokensPerSecond: event.tokensPerSecond ?? deployment.measuredTokensPerSecond,
      };
    case "deployment-measured":
      return { ...deployment, measuredTokensPerSecond: event.tokensPerSecond };
    case "deployment-record":
      return { ...deployment, measured: { ...deployment.measured, ...event.measured } };
    case "deployment-proposal":
      return { ...deployment, proposal: event.proposal };
    case "deployment-used":
      return { ...deployment, use: event.use };
    case "deployment-located":
      return { ...deployment, asked: { ...deployment.asked, hub: event.hub } };
    case "deployment-kept":
      return { ...deployment, asked: { ...deployment.asked, onDemand: event.onDemand } };
    case "deployment-timed":
      return { ...deployment, timings: event.timings };
    case "deployment-speculation":
      return { ...deployment, speculation: event.speculation };
    case "deployment-queue":
      return { ...deployment, queue: event.queue };
    case "deployment-broken":
      return deployment.wanted ? afterCrash(deployment, event.failure, event.atMs) : deployment;
    case "deployment-replanned":
      return {
        ...deployment,
        placement: event.placement,
        progress: event.placement.stages.map(() => 0),
        fetches: [],
        measuredTokensPerSecond: null,
        measured: UNMEASURED,
        proposal: null,
        timings: [],
      };
    case "deployment-failed":
      return { ...deployment, phase: "failed", failure: event.failure };
    case "deployment-waiting":
      return { ...deployment, retryAtMs: event.untilMs };
    default:
      return event satisfies never;
  }
}

function withLink(state: DaemonState, link: LinkView): DaemonState {
  const links = [...state.own.links.filter(({ to }) => to !== link.to), link];
  return { ...state, own: { ...state.own, links: links.sort((a, b) => (a.to < b.to ? -1 : 1)) } };
}

function withOther(state: DaemonState, node: NodeId, other: OtherNode): DaemonState {
  return { ...state, others: new Map(state.others).set(node, other) };
}

function withDeployment(state: DaemonState, id: DeploymentId, deployment: HeadedDeployment | null): DaemonState {
  const deployments = new Map(state.deployments);
  if (deployment === null) deployments.delete(id);
  else deployments.set(id, deployment);
  return { ...state, deployments };
}
