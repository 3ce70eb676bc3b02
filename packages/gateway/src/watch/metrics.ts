import { placeOf, placeText, type ClusterState, type NodeId } from "@clusterd/wire";
import type { TokenCounts } from "../relay/token-counts.ts";
import type { Outcome } from "./request-record.ts";

export interface Metrics {
  request(route: string, outcome: Outcome): void;
  tokens(counts: TokenCounts): void;
  /** Prometheus' text format, version 0.0.4. */
  text(now: { readonly generations: number; readonly subscribers: number; readonly state: ClusterState }): string;
}

function family(name: string, type: "counter" | "gauge", help: string, samples: readonly string[]): string {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples.map((sample) => `${name}${sample}`)].join("\n");
}

function countBy<Item>(items: readonly Item[], key: (item: Item) => string): readonly string[] {
  return [...Map.groupBy(items, key)].map(([value, group]) => `{state="${value}"} ${group.length}`);
}

/** What each remote stage's decode steps take. */
function stageFamilies(state: ClusterState): readonly string[] {
  const names = new Map(state.nodes.map(({ id, name }) => [id, name]));
  const nameOf = (place: NodeId): string => {
    const { node, device } = placeOf(place);
    return placeText({ node: names.get(node) ?? node, device });
  };
  const stages = state.deployments.flatMap(({ model, stages }) =>
    stages.flatMap(({ node, firstLayer, lastLayer, timing }) => {
      const labels = { model, node: nameOf(node), layers: `${firstLayer}-${lastLayer}` };
      return timing === null ? [] : [{ labels, timing }];
    }),
  );
  const seconds = stages.flatMap(({ labels, timing }) =>
    (["compute", "wire", "idle"] as const).flatMap((part) =>
      (["p50", "p95"] as const).map(
        (share) =>
          `${labelText({ ...labels, part, quantile: share === "p50" ? "0.5" : "0.95" })} ${timing[`${part}Ms`][share] / 1000}`,
      ),
    ),
  );
  const bytes = stages.flatMap(({ labels, timing }) => [
    `${labelText({ ...labels, direction: "up" })} ${timing.bytesUp}`,
    `${labelText({ ...labels, direction: "down" })} ${timing.bytesDown}`,
  ]);
  const rates = stages.map(({ labels, timing }) => `${labelText(labels)} ${timing.tokensPerSecond}`);
  const steps = stages.map(({ labels, timing }) => `${labelText(labels)} ${timing.steps}`);
  return [
    family("clusterd_stage_step_seconds", "gauge", "Time of the latest decode steps of a stage, by what it went to.", seconds),
    family("clusterd_stage_token_bytes", "gauge", "Bytes between head and stage for a token.", bytes),
    family("clusterd_stage_tokens_per_second", "gauge", "Tokens per second that pass a stage while it is asked.", rates),
    family("clusterd_stage_steps_total", "counter", "Decode steps of a stage since its pipeline came up.", steps),
  ];
}

/** How the guesses of deployments that speculate turn out. */
function speculationFamilies(state: ClusterState): readonly string[] {
  const speculating = state.deployments.filter(({ speculation }) => speculation.type !== "off");
  const known = speculating.flatMap(({ model, speculation: { type, acceptance } }) =>
    acceptance === null ? [] : [`${labelText({ model, type })} ${acceptance}`],
  );
  const active = speculating.map(({ model, speculation: { type, active } }) => `${labelText({ model, type })} ${active ? 1 : 0}`);
  return [
    family("clusterd_speculation_acceptance", "gauge", "Share of the guessed tokens that were right lately.", known),
    family("clusterd_speculation_active", "gauge", "Whether requests are speculated for: not while it does not pay.", active),
  ];
}

/** What was foretold of each deployment, and how far off it was. */
function predictionFamilies(state: ClusterState): readonly string[] {
  const predicted = state.deployments.map(
    ({ model, predictedTokensPerSecond }) => `${labelText({ model })} ${predictedTokensPerSecond}`,
  );
  const errors = state.deployments.flatMap(({ model, prediction: { error } }) =>
    error === null ? [] : [`${labelText({ model })} ${error}`],
  );
  return [
    family("clusterd_plan_predicted_tokens_per_second", "gauge", "Speed of one stream as the plan foretold it.", predicted),
    family("clusterd_plan_prediction_error_ratio", "gauge", "Measured speed of one stream ÷ the predicted one − 1.", errors),
  ];
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const escaped = (value: string): string => value.replace(/[\\"\n]/g, (found) => (found === "\n" ? "\\n" : `\\${found}`));
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(",")}}`;
}

/** Counts of this node since it started. Labels come from fixed sets: routes by pattern, outcomes, states. */
export function createMetrics(): Metrics {
  const requests = new Map<string, number>();
  let prompt = 0;
  let completion = 0;
  return {
    request(route, outcome) {
      const labels = `{route="${route}",outcome="${outcome}"}`;
      requests.set(labels, (requests.get(labels) ?? 0) + 1);
    },
    tokens(counts) {
      prompt += counts.prompt;
      completion += counts.completion;
    },
    text({ generations, subscribers, state }) {
      const families = [
        family(
          "clusterd_requests_total",
          "counter",
          "Requests by route and how they ended.",
          [...requests].map(([labels, count]) => `${labels} ${count}`),
        ),
        family("clusterd_generations_in_flight", "gauge", "Generations in progress through this node.", [` ${generations}`]),
        family("clusterd_prompt_tokens_total", "counter", "Prompt tokens of finished generations.", [` ${prompt}`]),
        family("clusterd_completion_tokens_total", "counter", "Generated tokens of finished generations.", [` ${completion}`]),
        family("clusterd_event_subscribers", "gauge", "Open streams of cluster events.", [` ${subscribers}`]),
        family(
          "clusterd_nodes",
          "gauge",
          "Nodes of the cluster by state.",
          countBy(state.nodes, ({ state }) => state),
        ),
        family(
          "clusterd_deployments",
          "gauge",
          "Deployments by state.",
          countBy(state.deployments, ({ state }) => state),
        ),
        ...stageFamilies(state),
        ...speculationFamilies(state),
        ...predictionFamilies(state),
      ];
      return `${families.join("\n")}\n`;
    },
  };
}
