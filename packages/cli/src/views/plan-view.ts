import { formatBytes } from "@clusterd/daemon/format";
import type { Placement, PlanResult, Refusal } from "@clusterd/wire";
import { bar } from "../text/bar.ts";
import { printable } from "../text/printable.ts";
import { counted, layerRange, milliseconds, rate } from "../text/rate.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";

const BAR_CELLS = 16;

/** A plan for people; `why` is the planner's own explanation. */
export function planLines(plan: PlanResult, why: readonly string[], style: Style): string[] {
  return plan.feasible ? placementLines(plan, why, style) : refusalLines(plan, style);
}

function placementLines(plan: Placement, why: readonly string[], style: Style): string[] {
  const { predicted } = plan;
  const rows = plan.stages.map((stage) => [
    printable(stage.node) + (stage.node === plan.head ? style("quiet", " head") : ""),
    layerRange(stage),
    `${bar(stage.memoryBytes / stage.budgetBytes, BAR_CELLS)} ${formatBytes(stage.memoryBytes)} of ${formatBytes(stage.budgetBytes)}`,
    formatBytes(stage.weightBytes),
    formatBytes(stage.kvBytes),
    milliseconds(stage.computeMs),
    milliseconds(stage.hopMs),
  ]);
  const columns = [
    { title: "NODE" },
    { title: "LAYERS" },
    { title: "MEMORY" },
    { title: "WEIGHTS", align: "right" as const },
    { title: "KV", align: "right" as const },
    { title: "COMPUTE MS", align: "right" as const },
    { title: "HOP MS", align: "right" as const },
  ];
  const unused = plan.unused.map(({ node, why: reason }) => `  ${printable(node)}: ${printable(reason)}`);
  return [
    `${style("strong", printable(plan.model.name))} · ${counted(plan.model.layerCount, "layer")} · ${plan.objective} · ` +
      `context ${plan.context} × ${counted(plan.slots, "slot")} · KV ${plan.kv}`,
    `${style("good", `${rate(predicted.tokensPerSecond)} tokens/s`)} predicted (${rate(predicted.low)} to ${rate(predicted.high)}), ` +
      `${milliseconds(predicted.msPerToken)} ms per token · head ${printable(plan.head)}`,
    "",
    ...table(columns, rows, style),
    ...(unused.length === 0 ? [] : ["", "Not used:", ...unused]),
    ...(why.length === 0 ? [] : ["", "Why:", ...why.map((line) => `  ${printable(line)}`)]),
  ];
}

const REFUSAL_WORDS: Readonly<Record<Refusal["reason"], string>> = {
  memory: "It does not fit into the memory of these nodes.",
  head: "No node can be the head: the head needs the model's file and room for its input and output.",
  stages: "No cut into stages satisfies what was asked.",
};

function refusalLines(refusal: Refusal, style: Style): string[] {
  return [
    style("bad", REFUSAL_WORDS[refusal.reason]),
    `needed ${formatBytes(refusal.bytesNeeded)}, available ${formatBytes(refusal.bytesAvailable)}, short by ${formatBytes(refusal.shortByBytes)}`,
    ...refusal.suggestions.map((suggestion) => `  try: ${printable(suggestion)}`),
  ];
}
