import { stripVTControlCharacters } from "node:util";
import type { Style } from "./style.ts";

export interface Column {
  readonly title: string;
  readonly align?: "right";
}

const GAP = "  ";

/** Columns an ordinary terminal gives a text, its colours aside. */
export function widthOf(text: string): number {
  return Array.from(stripVTControlCharacters(text)).length;
}

export function pad(text: string, width: number, align: "left" | "right" = "left"): string {
  const space = " ".repeat(Math.max(0, width - widthOf(text)));
  return align === "right" ? space + text : text + space;
}

/** Rows under quiet titles, as lines without trailing blanks. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string[] {
  const widths = columns.map((column, index) => Math.max(widthOf(column.title), ...rows.map((row) => widthOf(row[index] ?? ""))));
  const line = (cells: readonly string[]): string =>
    columns
      .map((column, index) => pad(cells[index] ?? "", widths[index] ?? 0, column.align ?? "left"))
      .join(GAP)
      .trimEnd();
  return [line(columns.map((column) => style("quiet", column.title))), ...rows.map(line)];
}
