import { formatBytes } from "@clusterd/daemon/format";
import type { Placement, PlanResult, Refusal } from "@clusterd/wire";
import { bar } from "../text/bar.ts";
import { printable } from "../text/printable.ts";
import { counted, layerRange, milliseconds, rate, seconds } from "../text/rate.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";
import { alternativeLines } from "./alternatives-view.ts";

const BAR_CELLS = 16;
/** Reasons for machines left out, and names with each: of a large inventory the rest is counted. */
const UNUSED_SHOWN_MAX = 8;
const NAMES_SHOWN_MAX = 6;

/** A plan for people, on one screen; with `top`, the next best placements as well. */
export function planLines(plan: PlanResult, style: Style, top = 0): string[] {
  return plan.feasible ? placementLines(plan, style, top) : refusalLines(plan, style);
}

function placementLines(plan: Placement, style: Style, top: number): string[] {
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
  return [
    `${style("strong", printable(plan.model.name))} · ${counted(plan.model.layerCount, "layer")} · ${plan.objective} · ` +
      `context ${plan.context} × ${counted(plan.slots, "slot")} · KV ${plan.kv}${plan.flashAttention ? "" : " · no flash attention"}`,
    `${style("good", `${rate(predicted.tokensPerSecond)} tokens/s`)} predicted (${rate(predicted.low)} to ${rate(predicted.high)}), ` +
      `${milliseconds(predicted.msPerToken)} ms per token${firstToken(plan)} · head ${printable(plan.head)}`,
    "",
    ...table(columns, rows, style),
    ...headlessLines(plan),
    ...section(
      "Why:",
      plan.why.map((line) => printable(line)),
    ),
    ...unusedLines(plan),
    ...section(
      "Notes:",
      plan.notes.map((line) => printable(line)),
    ),
    ...(top > 0 ? alternativeLines(plan, top, style) : []),
  ];
}

function firstToken({ predicted }: Placement): string {
  const { timeToFirstTokenMs, promptTokens } = predicted;
  return timeToFirstTokenMs === null
    ? ""
    : `, first token of a ${promptTokens}-token prompt after ${seconds(timeToFirstTokenMs)}`;
}

/** A head without layers has no row, but takes memory and time. */
function headlessLines({ stages, head, model, predicted, costs }: Placement): string[] {
  if (stages.some((stage) => stage.node === head)) return [];
  const bytes = model.inputBytes + model.outputBytes + costs.headBufferBytes;
  return [`${printable(head)} is the head: embedding and output, ${formatBytes(bytes)}, ${milliseconds(predicted.headMs)} ms`];
}

/** Machines left out, those for the same reason and at the same cost together. */
function unusedLines({ unused, predicted }: Placement): string[] {
  const groups = new Map<string, string[]>();
  for (const { node, why, msPerTokenIfUsed } of unused) {
    const reason = `${printable(why)}${costText(msPerTokenIfUsed, predicted.msPerToken)}`;
    groups.set(reason, [...(groups.get(reason) ?? []), printable(node)]);
  }
  const shown = [...groups].slice(0, UNUSED_SHOWN_MAX).map(([reason, names]) => `${namesText(names)}: ${reason}`);
  const more = [...groups.values()].slice(UNUSED_SHOWN_MAX).reduce((sum, names) => sum + names.length, 0);
  return section("Not used:", [...shown, ...(more > 0 ? [`and ${more} more`] : [])]);
}

function costText(msIfUsed: number | null, ms: number): string {
  if (msIfUsed === null) return "";
  const change = msIfUsed / ms - 1;
  return ` (with it ${milliseconds(msIfUsed)} ms per token, ${change < 0 ? "−" : "+"}${Math.abs(change * 100).toFixed(1)} %)`;
}

function namesText(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN_MAX;
  return names.slice(0, NAMES_SHOWN_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines.map((line) => `  ${line}`)];
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
    ...refusal.why.map((line) => `  ${printable(line)}`),
    ...refusal.suggestions.map((suggestion) => `  try: ${printable(suggestion)}`),
  ];
}
