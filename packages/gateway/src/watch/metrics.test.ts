import { fc, test as property } from "@fast-check/vitest";
import { asNodeId, ClusterdError, type ClusterState, type DeviceInfo, type StageTiming } from "@clusterd/wire";
import { expect, test } from "vitest";
import { CHAT, gatewayFor, get, post } from "../testing/client.ts";
import { fakeBackend, fakeRoute } from "../testing/fake-backend.ts";
import { parseExposition, type Family } from "../testing/parse-exposition.ts";
import { streamAnswer, wellBehaved } from "../testing/scripted-engine.ts";
import { createCounter, createHistogram, family } from "./exposition.ts";
import { createMetrics } from "./metrics.ts";
import { startRecord, tokenCame } from "./request-record.ts";

const MODEL = "demo-16l-q8_0";

function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const base = name.replace(/_(?:bucket|sum|count)$/, "");
  const series = (families.get(name) ?? families.get(base))?.series ?? [];
  return series.find((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value))
    ?.value;
}

test("what a gateway tells is what Prometheus reads", async () => {
  const backend = fakeBackend(wellBehaved(["a", "b", "c"]));
  backend.setRoutes(fakeRoute({ work: { active: 1, waiting: 3 } }));
  const gateway = gatewayFor(backend);
  await (await post(gateway, "/v1/chat/completions", CHAT)).text();
  await (await post(gateway, "/v1/chat/completions", { ...CHAT, stream: true })).text();
  await post(gateway, "/v1/chat/completions", { ...CHAT, model: 'no"such\\model\n' });
  const families = parseExposition(await (await get(gateway, "/metrics")).text());
  const of = { model_name: MODEL };
  expect(valueOf(families, "clusterd_requests_total", { outcome: "answered" })).toBe(2);
  expect(valueOf(families, "clusterd_requests_total", { outcome: "refused" })).toBe(1);
  expect(valueOf(families, "clusterd_request_success_total", of)).toBe(2);
  const prompt = valueOf(families, "clusterd_prompt_tokens_total", of);
  expect(prompt).toBeGreaterThan(0);
  expect(valueOf(families, "clusterd_request_prompt_tokens_sum", of)).toBe(prompt);
  expect(valueOf(families, "clusterd_generation_tokens_total", of)).toBe(valueOf(families, "clusterd_completion_tokens_total"));
  for (const name of ["time_to_first_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds"])
    expect(valueOf(families, `clusterd_${name}_count`, of), name).toBe(2);
  expect(valueOf(families, "clusterd_time_per_output_token_seconds_count", of)).toBe(2);
  expect(valueOf(families, "clusterd_num_requests_running", of)).toBe(1);
  expect(valueOf(families, "clusterd_num_requests_waiting", of)).toBe(3);
  expect(valueOf(families, "clusterd_tunnel_bytes_total", { direction: "received" })).toBe(20);
  const named = [...families.values()].flatMap(({ series }) =>
    series.map(({ labels }) => labels["model_name"] ?? labels["model"]),
  );
  expect(new Set(named.filter((name) => name !== undefined))).toEqual(new Set([MODEL]));
});

test("time in the queue is measured and logged, of those that never had a turn as well", async () => {
  const lines: string[] = [];
  const backend = fakeBackend(async ({ onWaiting }) => {
    onWaiting?.(2);
    await new Promise((done) => setTimeout(done, 20));
    onWaiting?.(1);
    await new Promise((done) => setTimeout(done, 20));
    if (lines.length > 0) throw new ClusterdError("queue_full", "No turn.");
    onWaiting?.(0);
    return streamAnswer({ tokens: ["a"] });
  });
  const gateway = gatewayFor(backend, { log: (line) => lines.push(line) });
  await (await post(gateway, "/v1/chat/completions", CHAT)).text();
  await (await post(gateway, "/v1/chat/completions", CHAT)).text();
  const families = parseExposition(await (await get(gateway, "/metrics")).text());
  expect(valueOf(families, "clusterd_request_queue_time_seconds_sum", { model_name: MODEL })).toBeGreaterThan(0.03);
  expect(valueOf(families, "clusterd_request_queue_time_seconds_count", { model_name: MODEL })).toBe(1);
  expect(lines[0]).toMatch(/outcome=answered .*queued_ms=[1-9]\d/);
  expect(lines[1]).toMatch(/status=429 outcome=refused .*queued_ms=[1-9]\d/);
});

test("a deployment and its successor on the same head are one series", async () => {
  const backend = fakeBackend();
  backend.setRoutes(fakeRoute({ phase: "draining" }), fakeRoute({ work: { active: 2, waiting: 0 } }));
  const families = parseExposition(await (await get(gatewayFor(backend), "/metrics")).text());
  expect(valueOf(families, "clusterd_num_requests_running")).toBe(2);
});

test("stages, memory, and replicas are told of each by itself, whatever nodes are called", () => {
  const backend = fakeBackend();
  const [first, second] = [asNodeId("12D3KooWhead"), asNodeId("12D3KooWworker")];
  backend.setRoutes(fakeRoute(), fakeRoute({ head: { id: second, name: "b" } }));
  const state = backend.state();
  const timing: StageTiming = {
    steps: 3,
    tokensPerStep: 1,
    computeMs: { p50: 1, p95: 2 },
    wireMs: { p50: 3, p95: 4 },
    idleMs: { p50: 5, p95: 6 },
    bytesUp: 7,
    bytesDown: 8,
    tokensPerSecond: 9,
    encrypted: true,
  };
  const device = { memoryBytesTotal: 100, memoryBytesFree: 60, memoryBytesBudget: 80 } as DeviceInfo;
  const nodes = [
    { id: first, name: 'a"\\', state: "alive", device },
    { id: second, name: "b\n", state: "alive", device },
  ] as unknown as ClusterState["nodes"];
  const [deployment, replica] = state.deployments;
  if (deployment === undefined || replica === undefined) throw new Error("no deployments");
  const stages = deployment.stages.map((stage, at) => (at === 1 ? { ...stage, timing } : stage));
  const now = { generations: 0, subscribers: 0, tunnels: null, cache: null };
  const text = createMetrics().text({ ...now, state: { ...state, nodes, deployments: [{ ...deployment, stages }, replica] } });
  const families = parseExposition(text);
  expect(valueOf(families, "clusterd_stage_step_seconds", { node: "b\n", part: "wire", quantile: "0.95" })).toBe(0.004);
  expect(valueOf(families, "clusterd_stage_steps_total", { layers: "8-15" })).toBe(3);
  // Both deployments have stages there.
  expect(valueOf(families, "clusterd_node_memory_used_bytes", { node: 'a"\\' })).toBe(600);
  expect(valueOf(families, "clusterd_node_memory_bytes", { node: "b\n", kind: "budget" })).toBe(80);
  expect(families.get("clusterd_plan_predicted_tokens_per_second")?.series.map(({ labels }) => labels["head"])).toEqual([
    'a"\\',
    "b\n",
  ]);
});

test("however many models come and go, their series are bounded", () => {
  const metrics = createMetrics();
  for (let at = 0; at < 500; at++) {
    const record = startRecord(new Request("http://a/"), "POST /v1/chat/completions");
    record.model = `model-${at}`;
    tokenCame(record);
    record.counts = { prompt: 1, completion: 1 };
    metrics.request(record, "answered");
  }
  const now = { generations: 0, subscribers: 0, tunnels: null, cache: null, state: fakeBackend().state() };
  const success = parseExposition(metrics.text(now)).get("clusterd_request_success_total")?.series ?? [];
  expect(success).toHaveLength(65);
  expect(success.reduce((sum, { value }) => sum + value, 0)).toBe(500);
});

const label = fc.string({ unit: "binary", maxLength: 12 });

property.prop([fc.array(fc.tuple(label, fc.double({ min: 0, max: 100, noNaN: true })), { maxLength: 30 })])(
  "whatever names and values are told, they are read as they were",
  (observed) => {
    const histogram = createHistogram("h", "Help.", "model", [0.1, 1, 10]);
    const counter = createCounter("c_total", "Help.");
    for (const [name, value] of observed) {
      histogram.observe(name, value);
      counter.add({ model: name, other: "x" }, value);
    }
    const samples = observed.map(([name, value]) => ({ labels: { name }, value: value - 50 }));
    const families = parseExposition(
      `${[histogram.text(), counter.text(), family("g", "gauge", "Help.", samples)].join("\n")}\n`,
    );
    const names = new Set(observed.map(([name]) => name));
    for (const name of names) {
      const values = observed.flatMap(([each, value]) => (each === name ? [value] : []));
      const sum = values.reduce((total, value) => total + value, 0);
      expect(valueOf(families, "c_total", { model: name })).toBe(sum);
      expect(valueOf(families, "h_count", { model: name })).toBe(values.length);
      expect(valueOf(families, "h_bucket", { model: name, le: "1" })).toBe(values.filter((value) => value <= 1).length);
      expect(valueOf(families, "g", { name })).toBe((values.at(-1) ?? 0) - 50);
    }
    expect(families.get("c_total")?.series).toHaveLength(names.size);
  },
);

test.each([
  ["no end", "# HELP a A.\n# TYPE a gauge\na 1"],
  ["no type", "# HELP a A.\na 1\n"],
  ["help twice", "# HELP a A.\n# HELP a A.\n# TYPE a gauge\na 1\n"],
  ["a family in two parts", "# HELP a A.\n# TYPE a gauge\na 1\n# HELP b B.\n# TYPE b gauge\n# HELP a A.\n# TYPE a gauge\n"],
  ["a series twice", "# HELP a A.\n# TYPE a gauge\na 1\na 2\n"],
  ["an unescaped quote", '# HELP a A.\n# TYPE a gauge\na{x="y"z"} 1\n'],
  ["an unknown escape", '# HELP a A.\n# TYPE a gauge\na{x="\\t"} 1\n'],
  ["no number", "# HELP a A.\n# TYPE a gauge\na undefined\n"],
  ["a negative count", "# HELP a_total A.\n# TYPE a_total counter\na_total -1\n"],
  ["no +Inf", '# HELP a A.\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n'],
  ["not cumulative", '# HELP a A.\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n'],
])("the reader takes offence: %s", (_, text) => {
  expect(() => parseExposition(text)).toThrow();
});
