import type { ClusterState } from "@clusterd/wire";
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
      ];
      return `${families.join("\n")}\n`;
    },
  };
}
