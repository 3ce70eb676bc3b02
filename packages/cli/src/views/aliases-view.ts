import type { AliasTarget, AliasView } from "@clusterd/wire";
import { printable } from "../text/printable.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";

function targetText({ model, canary }: AliasTarget): string {
  if (canary === null) return printable(model);
  return `${printable(model)}, ${Number((canary.share * 100).toFixed(2))} % to ${printable(canary.model)}`;
}

/** Where an alias leads, in a sentence. */
export function aliasText(alias: AliasView): string {
  return `${printable(alias.alias)} leads to ${targetText(alias)}.`;
}

/** The cluster's aliases, and where each goes back to. */
export function aliasesLines(aliases: readonly AliasView[], style: Style): string[] {
  if (aliases.length === 0) return ["There are no aliases. Make one: clusterd alias NAME MODEL"];
  const rows = aliases.map((alias) => {
    const [before] = alias.before;
    return [
      style("accent", printable(alias.alias)),
      targetText(alias),
      before === undefined ? style("quiet", "nothing known") : targetText(before),
    ];
  });
  return table([{ title: "ALIAS" }, { title: "MODEL" }, { title: "BEFORE" }], rows, style);
}
