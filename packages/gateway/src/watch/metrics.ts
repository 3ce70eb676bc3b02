import type { ClusterState } from "@clusterd/wire";
import type { CacheCounts } from "../cache/answer-cache.ts";
import { cacheFamilies } from "./cache-metrics.ts";
import { createCounter, createHistogram, family, type Sample } from "./exposition.ts";
import type { Outcome, RequestRecord } from "./request-record.ts";
import { stateFamilies } from "./state-metrics.ts";

export interface MetricsNow {
  readonly generations: number;
  readonly subscribers: number;
  /** Bytes that this node's tunnels have carried. */
  readonly tunnels: { readonly sent: number; readonly received: number } | null;
  readonly state: ClusterState;
  /** Null or absent: no answers are kept. */
  readonly cache?: CacheCounts | null;
}

export interface Metrics {
  /** A request that has ended. */
  request(record: RequestRecord, outcome: Outcome): void;
  /** Prometheus' text format, version 0.0.4. */
  text(now: MetricsNow): string;
}

// Names after vLLM's, `clusterd_` for its `vllm:`, so that what reads the one reads the other with little change; bounds as there.
const FIRST_TOKEN_SECONDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
const PER_TOKEN_SECONDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const REQUEST_SECONDS = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const TOKENS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

/** Models that have series of their own; further ones share one. */
const MODELS_MAX = 64;
const OTHER_MODELS = "(other)";
const MODEL = "model_name";

/** Counts of this node since it started. Labels come from bounded sets: routes by pattern, outcomes, models that were deployed. */
export function createMetrics(): Metrics {
  const models = new Set<string>();
  const requests = createCounter("clusterd_requests_total", "Requests by route and how they ended.");
  const success = createCounter("clusterd_request_success_total", "Generations that ended well.");
  const failed = createCounter("clusterd_request_failure_total", "Generations that began and did not end well, by how.");
  const prompt = createCounter("clusterd_prompt_tokens_total", "Prompt tokens of finished generations.");
  const generated = createCounter("clusterd_generation_tokens_total", "Generated tokens of finished generations.");
  const upstreams = createCounter(
    "clusterd_upstream_requests_total",
    "Requests that an upstream was asked for, by how they ended.",
  );
  let completion = 0;
  const histogram = (name: string, help: string, bounds: readonly number[]): ReturnType<typeof createHistogram> =>
    createHistogram(name, help, MODEL, bounds);
  const queue = histogram("clusterd_request_queue_time_seconds", "Time in the queue for a turn.", REQUEST_SECONDS);
  const first = histogram(
    "clusterd_time_to_first_token_seconds",
    "From a request's arrival to the first token of its answer.",
    FIRST_TOKEN_SECONDS,
  );
  const perToken = histogram(
    "clusterd_time_per_output_token_seconds",
    "Time between two tokens, as a request's mean.",
    PER_TOKEN_SECONDS,
  );
  const latency = histogram(
    "clusterd_e2e_request_latency_seconds",
    "From a request's arrival to the end of its answer.",
    REQUEST_SECONDS,
  );
  const promptSizes = histogram("clusterd_request_prompt_tokens", "Tokens of a request's prompt.", TOKENS);
  const answerSizes = histogram("clusterd_request_generation_tokens", "Tokens of a request's answer.", TOKENS);
  const histograms = [queue, first, perToken, latency, promptSizes, answerSizes];

  function labelOf(model: string): string {
    if (models.has(model)) return model;
    if (models.size >= MODELS_MAX) return OTHER_MODELS;
    models.add(model);
    return model;
  }

  function generation(record: RequestRecord, deployed: string, outcome: Outcome): void {
    const { counts, firstTokenMs, lastTokenMs, queuedMs, startedMs } = record;
    const model = labelOf(deployed);
    if (outcome === "answered") success.add({ [MODEL]: model });
    else failed.add({ [MODEL]: model, outcome });
    queue.observe(model, (queuedMs ?? 0) / 1000);
    if (firstTokenMs !== null) first.observe(model, firstTokenMs / 1000);
    if (outcome === "answered") latency.observe(model, (performance.now() - startedMs) / 1000);
    if (counts === null) return;
    prompt.add({ [MODEL]: model }, counts.prompt);
    generated.add({ [MODEL]: model }, counts.completion);
    completion += counts.completion;
    promptSizes.observe(model, counts.prompt);
    answerSizes.observe(model, counts.completion);
    if (firstTokenMs !== null && lastTokenMs !== null && counts.completion > 1)
      perToken.observe(model, (lastTokenMs - firstTokenMs) / (counts.completion - 1) / 1000);
  }

  return {
    request(record, outcome) {
      requests.add({ route: record.route, outcome });
      // Another's speed is none of this cluster's.
      if (record.upstream !== null) return upstreams.add({ upstream: record.upstream.name, outcome });
      // What never reached an engine was no generation, and its model may be one that is only known.
      const reached = record.chunks > 0 || record.counts !== null;
      if (record.model !== null && reached) generation(record, record.model, outcome);
    },
    text({ generations, subscribers, tunnels, state, cache = null }) {
      const one = (value: number): readonly Sample[] => [{ value }];
      const families = [
        requests.text(),
        family("clusterd_generations_in_flight", "gauge", "Generations in progress through this node.", one(generations)),
        success.text(),
        failed.text(),
        prompt.text(),
        generated.text(),
        family("clusterd_completion_tokens_total", "counter", "Generated tokens of all models.", one(completion)),
        ...histograms.map((each) => each.text()),
        family("clusterd_event_subscribers", "gauge", "Open streams of cluster events.", one(subscribers)),
        family(
          "clusterd_tunnel_bytes_total",
          "counter",
          "Bytes between this node and others through tunnels, encryption included.",
          tunnels === null
            ? []
            : [
                { labels: { direction: "sent" }, value: tunnels.sent },
                { labels: { direction: "received" }, value: tunnels.received },
              ],
        ),
        upstreams.text(),
        ...cacheFamilies(cache),
        ...stateFamilies(state),
      ];
      return `${families.join("\n")}\n`;
    },
  };
}
