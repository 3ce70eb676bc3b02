import type { Alternative, Placement } from "@clusterd/wire";
import { printable } from "../text/printable.ts";
import { layerRange, milliseconds, rate } from "../text/rate.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";

/** The best `top` placements besides the chosen one, a line each. */
export function alternativeLines({ alternatives, predicted }: Placement, top: number, style: Style): string[] {
  if (alternatives.length === 0) return ["", "There is no other placement over another head or other nodes."];
  const columns = [
    { title: "#", align: "right" as const },
    { title: "TOKENS/S", align: "right" as const },
    { title: "MS", align: "right" as const },
    { title: "SLOWER", align: "right" as const },
    { title: "HEAD" },
    { title: "STAGES" },
  ];
  const rows = alternatives
    .slice(0, top)
    .map((alternative, index) => [
      String(index + 2),
      rate(1000 / alternative.msPerToken),
      milliseconds(alternative.msPerToken),
      `${((alternative.msPerToken / predicted.msPerToken - 1) * 100).toFixed(1)} %`,
      printable(alternative.head),
      stagesText(alternative),
    ]);
  return ["", ...table(columns, rows, style)];
}

function stagesText({ stages }: Alternative): string {
  return stages.map((stage) => `${printable(stage.node)} ${layerRange(stage)}`).join(" + ");
}
