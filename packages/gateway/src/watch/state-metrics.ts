import { placeOf, placeText, type ClusterState, type DeploymentView, type NodeId } from "@clusterd/wire";
import { family, type Sample } from "./exposition.ts";

/** What the cluster's state shows of nodes and deployments. Every node tells of the whole cluster: do not add them up. */
export function stateFamilies(state: ClusterState): readonly string[] {
  return [
    countBy("clusterd_nodes", "Nodes of the cluster by state.", state.nodes),
    countBy("clusterd_deployments", "Deployments by state.", state.deployments),
    ...memoryFamilies(state),
    ...queueFamilies(state),
    ...stageFamilies(state),
    ...speculationFamilies(state),
    ...predictionFamilies(state),
  ];
}

function countBy(name: string, help: string, items: readonly { readonly state: string }[]): string {
  const groups = Map.groupBy(items, ({ state }) => state);
  return family(
    name,
    "gauge",
    help,
    [...groups].map(([state, group]) => ({ labels: { state }, value: group.length })),
  );
}

function namesOf(state: ClusterState): (place: NodeId) => string {
  const names = new Map(state.nodes.map(({ id, name }) => [id, name]));
  return (place) => {
    const { node, device } = placeOf(place);
    return placeText({ node: names.get(node) ?? node, device });
  };
}

/** Memory of each node as it tells of it, and what the deployments take of that. */
function memoryFamilies(state: ClusterState): readonly string[] {
  const memory = state.nodes.flatMap(({ name: node, device }) => [
    { labels: { node, kind: "total" }, value: device.memoryBytesTotal },
    { labels: { node, kind: "free" }, value: device.memoryBytesFree },
    { labels: { node, kind: "budget" }, value: device.memoryBytesBudget },
  ]);
  const used = new Map<NodeId, number>(state.nodes.map(({ id }) => [id, 0]));
  for (const { node, weightBytes, kvBytes, bufferBytes } of state.deployments.flatMap(({ stages }) => stages)) {
    const host = placeOf(node).node;
    used.set(host, (used.get(host) ?? 0) + weightBytes + kvBytes + bufferBytes);
  }
  const nameOf = namesOf(state);
  return [
    family("clusterd_node_memory_bytes", "gauge", "Memory of a node: in all, free, and what models may take.", memory),
    family(
      "clusterd_node_memory_used_bytes",
      "gauge",
      "Memory that deployments take on a node: weights, KV cache, buffers.",
      [...used].map(([id, value]) => ({ labels: { node: nameOf(id) }, value })),
    ),
  ];
}

/** One sample per deployment. Replicas of a model differ by their head. */
function perDeployment(state: ClusterState, value: (view: DeploymentView) => number | null, label = "model"): readonly Sample[] {
  const nameOf = namesOf(state);
  return state.deployments.flatMap((view) => {
    const found = value(view);
    return found === null ? [] : [{ labels: { [label]: view.model, head: nameOf(view.head) }, value: found }];
  });
}

function queueFamilies(state: ClusterState): readonly string[] {
  const per = (value: (view: DeploymentView) => number): readonly Sample[] => perDeployment(state, value, "model_name");
  return [
    family(
      "clusterd_num_requests_running",
      "gauge",
      "Requests that have a turn with the engine.",
      per(({ queue }) => queue.active),
    ),
    family(
      "clusterd_num_requests_waiting",
      "gauge",
      "Requests that wait for a turn.",
      per(({ queue }) => queue.waiting),
    ),
    family(
      "clusterd_num_requests_waiting_max",
      "gauge",
      "Requests that may wait for a turn.",
      per(({ queue }) => queue.limit),
    ),
  ];
}

/** What each remote stage's decode steps take. */
function stageFamilies(state: ClusterState): readonly string[] {
  const nameOf = namesOf(state);
  const stages = state.deployments.flatMap(({ model, stages }) =>
    stages.flatMap(({ node, firstLayer, lastLayer, timing }) => {
      const labels = { model, node: nameOf(node), layers: `${firstLayer}-${lastLayer}` };
      return timing === null ? [] : [{ labels, timing }];
    }),
  );
  const seconds = stages.flatMap(({ labels, timing }) =>
    (["compute", "wire", "idle"] as const).flatMap((part) => [
      { labels: { ...labels, part, quantile: "0.5" }, value: timing[`${part}Ms`].p50 / 1000 },
      { labels: { ...labels, part, quantile: "0.95" }, value: timing[`${part}Ms`].p95 / 1000 },
    ]),
  );
  const bytes = stages.flatMap(({ labels, timing }) => [
    { labels: { ...labels, direction: "up" }, value: timing.bytesUp },
    { labels: { ...labels, direction: "down" }, value: timing.bytesDown },
  ]);
  const rates = stages.map(({ labels, timing }) => ({ labels, value: timing.tokensPerSecond }));
  const steps = stages.map(({ labels, timing }) => ({ labels, value: timing.steps }));
  return [
    family("clusterd_stage_step_seconds", "gauge", "Time of the latest decode steps of a stage, by what it went to.", seconds),
    family("clusterd_stage_token_bytes", "gauge", "Bytes between head and stage for a token.", bytes),
    family("clusterd_stage_tokens_per_second", "gauge", "Tokens per second that pass a stage while it is asked.", rates),
    family("clusterd_stage_steps_total", "counter", "Decode steps of a stage since its pipeline came up.", steps),
  ];
}

/** How the guesses of deployments that speculate turn out. */
function speculationFamilies(state: ClusterState): readonly string[] {
  const nameOf = namesOf(state);
  const speculating = state.deployments.filter(({ speculation }) => speculation.type !== "off");
  const labelsOf = ({ model, speculation, head }: DeploymentView): Record<string, string> => ({
    model,
    type: speculation.type,
    head: nameOf(head),
  });
  const known = speculating.flatMap((view) => {
    const { acceptance } = view.speculation;
    return acceptance === null ? [] : [{ labels: labelsOf(view), value: acceptance }];
  });
  const active = speculating.map((view) => ({ labels: labelsOf(view), value: view.speculation.active ? 1 : 0 }));
  return [
    family("clusterd_speculation_acceptance", "gauge", "Share of the guessed tokens that were right lately.", known),
    family("clusterd_speculation_active", "gauge", "Whether requests are speculated for: not while it does not pay.", active),
  ];
}

/** What was foretold of each deployment, and how far off it was. */
function predictionFamilies(state: ClusterState): readonly string[] {
  return [
    family(
      "clusterd_plan_predicted_tokens_per_second",
      "gauge",
      "Speed of one stream as the plan foretold it.",
      perDeployment(state, ({ predictedTokensPerSecond }) => predictedTokensPerSecond),
    ),
    family(
      "clusterd_plan_measured_tokens_per_second",
      "gauge",
      "Speed of one stream as it was measured.",
      perDeployment(state, ({ measuredTokensPerSecond }) => measuredTokensPerSecond),
    ),
    family(
      "clusterd_plan_prediction_error_ratio",
      "gauge",
      "Measured speed of one stream ÷ the predicted one − 1.",
      perDeployment(state, ({ prediction }) => prediction.error),
    ),
  ];
}
