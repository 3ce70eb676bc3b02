import { formatBytes } from "@clusterd/daemon/format";
import type { FitsReport, FittingModel, MissingModel } from "@clusterd/daemon/offline";
import type { Inventory } from "@clusterd/wire";
import { printable } from "../text/printable.ts";
import { counted, rate } from "../text/rate.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";

/** Of what does not fit, so many are named: the smallest, which are nearest to it. */
const MISSING_SHOWN_MAX = 6;

/** What the machines run, for people: a line for each model, the largest first. */
export function fitsLines(report: FitsReport, inventory: Inventory, style: Style): string[] {
  const memory = inventory.nodes.reduce((sum, node) => sum + node.memoryBytes, 0);
  const machines = `${counted(inventory.nodes.length, "node")} with ${formatBytes(memory)} for models`;
  if (report.fits.length === 0)
    return [style("bad", `No model of the catalogue fits: ${machines}.`), ...missingLines(report.doesNotFit)];
  const columns = [
    { title: "MODEL" },
    { title: "PARAMETERS", align: "right" as const },
    { title: "BEST", align: "right" as const },
    { title: "FILE", align: "right" as const },
    { title: "TOKENS/S", align: "right" as const },
    { title: "RANGE", align: "right" as const },
    { title: "NODES", align: "right" as const },
    { title: "MEMORY", align: "right" as const },
    { title: "CONTEXT", align: "right" as const },
    { title: "ALSO FIT" },
  ];
  const slow = report.fits.filter((model) => !model.useful).length;
  return [
    `${style("strong", counted(report.fits.length, "well-known model"))} on ${machines}`,
    "",
    ...table(
      columns,
      report.fits.map((model) => row(model, style)),
      style,
    ),
    ...(slow === 0 ? [] : ["", style("warn", `${counted(slow, "model")} marked ~ would be slower than a token per second.`)]),
    ...missingLines(report.doesNotFit),
    "",
    style("quiet", `Where one would go and why: clusterd plan ${report.fits[0]?.model}:${report.fits[0]?.quantisation}`),
  ];
}

function row(model: FittingModel, style: Style): string[] {
  const speed = `${model.useful ? "" : "~"}${rate(model.tokensPerSecond)}`;
  return [
    printable(model.model),
    parameters(model.parameters),
    model.quantisation,
    formatBytes(model.bytes),
    style(model.useful ? "good" : "warn", speed),
    `${rate(model.low)}–${rate(model.high)}`,
    String(model.nodes.length),
    formatBytes(model.memoryBytes),
    String(model.context),
    model.others.length === 0 ? "" : counted(model.others.length, "other"),
  ];
}

/** `671B`, `3.2B`. */
function parameters(count: number): string {
  const billions = count / 1e9;
  return `${billions >= 99.5 ? billions.toFixed(0) : billions.toFixed(1)}B`;
}

function missingLines(missing: readonly MissingModel[]): string[] {
  if (missing.length === 0) return [];
  const shown = missing.toReversed().slice(0, MISSING_SHOWN_MAX).map(missingText);
  const more = missing.length - shown.length;
  return ["", `Do not fit: ${shown.join(", ")}${more > 0 ? ` and ${counted(more, "larger one")}` : ""}.`];
}

function missingText({ model, quantisation, shortByBytes }: MissingModel): string {
  const why = shortByBytes > 0 ? `${formatBytes(shortByBytes)} short` : "not in pieces that fit";
  return `${printable(model)} (${quantisation}: ${why})`;
}
