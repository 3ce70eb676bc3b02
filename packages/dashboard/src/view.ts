import type { ClusterState, DeploymentView, NodeId, NodeView, StageView } from "@clusterd/wire";
import { placeOf, placeText } from "@clusterd/wire/stage-place";
import { copiesText, diskCard, type DiskCard } from "./disk-card.ts";
import { sizeText } from "./size-text.ts";

/** How many colours hosts are told apart by; a label goes with each, so colour is never the only cue. */
export const HOST_COLOURS = 8;

export interface HostCard {
  readonly id: NodeId;
  readonly name: string;
  readonly isSelf: boolean;
  readonly state: NodeView["state"];
  readonly chip: string;
  readonly colour: number;
  /** Shares of the machine's memory, 0 to 1, together at most 1. */
  readonly usedShare: number;
  readonly budgetShare: number;
  readonly memoryText: string;
  readonly bandwidthText: string;
  readonly disk: DiskCard | null;
}

export interface Segment {
  readonly node: NodeId;
  readonly host: string;
  readonly colour: number;
  readonly layers: number;
  readonly rangeText: string;
  readonly bytesText: string;
  readonly kvText: string;
  readonly predictedText: string;
  readonly measuredText: string;
  readonly timingText: string;
  readonly progress: number;
  readonly isHead: boolean;
}

export interface DeploymentCard {
  /** Replicas of a model differ by their head; one that failed there may still be told of. */
  readonly key: string;
  readonly model: string;
  readonly state: DeploymentView["state"];
  readonly reason: string | null;
  readonly speedText: string;
  /** What was foretold, with its range, and how far off that was. */
  readonly predictionText: string;
  /** A better placement and how to move to it; null where there is none. */
  readonly proposalText: string | null;
  readonly detailText: string;
  /** Who is being answered and who waits. */
  readonly queueText: string;
  readonly segments: readonly Segment[];
  readonly progress: number;
}

export interface Page {
  readonly title: string;
  readonly standing: ClusterState["standing"]["kind"];
  readonly code: string | null;
  readonly isOpen: boolean;
  readonly hosts: readonly HostCard[];
  readonly deployments: readonly DeploymentCard[];
  readonly pending: ClusterState["pending"];
  readonly models: readonly { readonly id: string; readonly text: string; readonly copiesText: string }[];
}

export { sizeText };

/** All that the page shows, from the state alone. */
export function pageOf(state: ClusterState): Page {
  const colours = new Map(state.nodes.map((node, index) => [node.id, index % HOST_COLOURS]));
  const names = new Map(state.nodes.map((node) => [node.id, node.name]));
  return {
    title: state.cluster.name === "" ? "No cluster yet" : state.cluster.name,
    standing: state.standing.kind,
    code: state.standing.code,
    isOpen: state.cluster.open,
    hosts: state.nodes.map((node) => hostCard(state, node, colours.get(node.id) ?? 0)),
    deployments: state.deployments.map((deployment) => deploymentCard(deployment, colours, names)),
    pending: state.pending,
    models: state.models.map((model) => ({
      id: model.id,
      text: `${model.quantisation}, ${model.layerCount} layers, ${sizeText(model.fileBytes)}`,
      copiesText: copiesText(model, state),
    })),
  };
}

function hostCard(state: ClusterState, node: NodeView, colour: number): HostCard {
  const {
    memoryBytesTotal: total,
    memoryBytesBudget: budget,
    memoryBytesFree: free,
    bandwidthBytesPerSecond,
    bandwidthSource,
    chip,
  } = node.device;
  const used = state.deployments
    .filter((deployment) => deployment.state !== "failed")
    .flatMap((deployment) => deployment.stages)
    .filter((stage) => stage.node === node.id)
    .reduce((sum, stage) => sum + stage.weightBytes + stage.kvBytes + stage.bufferBytes, 0);
  const share = (bytes: number): number => (total === 0 ? 0 : Math.min(1, bytes / total));
  return {
    id: node.id,
    name: node.name,
    isSelf: node.id === state.self,
    state: node.state,
    chip,
    colour,
    usedShare: share(used),
    budgetShare: Math.max(0, share(budget) - share(used)),
    memoryText: `${sizeText(used)} in use of ${sizeText(budget)} for models; ${sizeText(total)} in all, ${sizeText(free)} free`,
    bandwidthText: `${sizeText(bandwidthBytesPerSecond)}/s (${bandwidthSource})`,
    disk: diskCard(node),
  };
}

function deploymentCard(
  deployment: DeploymentView,
  colours: ReadonlyMap<NodeId, number>,
  names: ReadonlyMap<NodeId, string>,
): DeploymentCard {
  const { predictedTokensPerSecond: predicted, measuredTokensPerSecond: measured } = deployment;
  const weight = deployment.stages.reduce((sum, stage) => sum + stage.weightBytes, 0);
  return {
    key: `${deployment.model} ${deployment.head} ${deployment.state === "failed" ? "failed" : "live"}`,
    model: deployment.model,
    state: deployment.state,
    reason: deployment.reason,
    speedText: `${measured === null ? "not measured yet" : `${measured.toFixed(1)} tokens/s`} · ${predicted.toFixed(1)} predicted`,
    predictionText: predictionText(deployment),
    proposalText: proposalText(deployment, names),
    queueText: queueText(deployment.queue),
    detailText: `${deployment.layerCount} layers · context ${deployment.context} × ${deployment.slots} · head ${names.get(deployment.head) ?? "gone"}`,
    progress: weight === 0 ? 0 : deployment.stages.reduce((sum, stage) => sum + stage.progress * stage.weightBytes, 0) / weight,
    segments: deployment.stages.map((stage) => ({
      node: stage.node,
      host: hostName(stage.node, names),
      colour: colours.get(placeOf(stage.node).node) ?? 0,
      layers: stage.lastLayer - stage.firstLayer + 1,
      rangeText: stage.firstLayer === stage.lastLayer ? `${stage.firstLayer}` : `${stage.firstLayer}–${stage.lastLayer}`,
      bytesText: sizeText(stage.weightBytes),
      kvText: sizeText(stage.kvBytes),
      predictedText: `${stage.predictedMsPerToken.toFixed(1)} ms`,
      measuredText: stage.measuredMsPerToken === null ? "not measured" : `${stage.measuredMsPerToken.toFixed(1)} ms`,
      timingText: (stage.fetch ?? null) === null ? timingText(stage.timing) : fetchText(stage.fetch ?? null),
      progress: stage.progress,
      isHead: stage.node === deployment.head,
    })),
  };
}

/** How far a node is with fetching its part. */
function fetchText(fetch: DeploymentView["stages"][number]["fetch"]): string {
  if (fetch === null || fetch === undefined) return "";
  const { doneBytes, totalBytes, bytesPerSecond, secondsLeft } = fetch;
  const speed = bytesPerSecond === null ? "" : `, ${sizeText(bytesPerSecond)}/s`;
  const left = secondsLeft === null || secondsLeft === 0 ? "" : `, ${Math.ceil(secondsLeft)} s left`;
  return `fetching: ${sizeText(doneBytes)} of ${sizeText(totalBytes)}${speed}${left}`;
}

function predictionText({ prediction }: DeploymentView): string {
  const { low, high, error, promptTokens, timeToFirstTokenMs: first, measuredTimeToFirstTokenMs: firstMeasured } = prediction;
  const off = error === null ? "" : `, off by ${error >= 0 ? "+" : "−"}${(Math.abs(error) * 100).toFixed(0)} %`;
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  const firsts = [
    ...(first === null ? [] : [`${seconds(first)} predicted`]),
    ...(firstMeasured === null ? [] : [`${seconds(firstMeasured)} measured`]),
  ];
  const firstToken = firsts.length === 0 ? "" : ` · first token of a ${promptTokens}-token prompt: ${firsts.join(", ")}`;
  return `predicted ${low.toFixed(1)} to ${high.toFixed(1)} tokens/s${off}${firstToken}`;
}

function queueText({ active, waiting, limit }: DeploymentView["queue"]): string {
  if (active === 0 && waiting === 0) return "idle";
  return `${active} being answered · ${waiting === 0 ? "none waiting" : `${waiting} of at most ${limit} waiting`}`;
}

function proposalText({ model, proposal, replan }: DeploymentView, names: ReadonlyMap<NodeId, string>): string | null {
  if (proposal === null) return null;
  const stages = proposal.stages.map(({ node, firstLayer, lastLayer }) => `${hostName(node, names)} ${firstLayer}–${lastLayer}`);
  const how = replan === "auto" ? "It moves when it is idle." : `To move it: clusterd load ${model} --replan now`;
  return `Placed anew (${stages.join(", ")}) it would be ${(proposal.gain * 100).toFixed(0)} % faster. ${how}`;
}

/** Where half of a stage's steps or more spend their time. */
function timingText(timing: StageView["timing"]): string {
  if (timing === null) return "—";
  const [compute, wire, idle] = [timing.computeMs, timing.wireMs, timing.idleMs].map(({ p50 }) => p50.toFixed(1));
  return `${compute} · ${wire} · ${idle} ms${timing.encrypted ? "" : ", not encrypted"}`;
}

/** `pc`, or `pc#1` for its second accelerator. */
function hostName(place: NodeId, names: ReadonlyMap<NodeId, string>): string {
  const { node, device } = placeOf(place);
  const name = names.get(node);
  return name === undefined ? "gone" : placeText({ node: name, device });
}
