import type { KeyView } from "@clusterd/wire";
import { printable } from "../text/printable.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";

/** A key's limits and rights in words; empty where it has none. */
export function keyLimits({
  models,
  requestsPerMinute,
  tokensPerDay,
  tokensToday,
  isPrivate,
  mayControl,
}: Omit<KeyView, "id" | "name">): string {
  const spent = tokensToday === null || tokensToday === 0 ? "" : `${tokensToday} of `;
  return [
    models === null ? "" : `only ${models.map(printable).join(", ")}`,
    requestsPerMinute === null ? "" : `${requestsPerMinute} requests/min`,
    tokensPerDay === null ? "" : `${spent}${tokensPerDay} tokens/day`,
    isPrivate ? "private" : "",
    mayControl ? "admin" : "",
  ]
    .filter((part) => part !== "")
    .join("; ");
}

/** The cluster's API keys: everything but the keys themselves. */
export function keysLines(keys: readonly KeyView[], style: Style): string[] {
  if (keys.length === 0) return ["There are no API keys. Make one with: clusterd key create NAME"];
  const columns = ["NAME", "ID", "CREATED", "LAST USED", "LIMITS"].map((title) => ({ title }));
  const rows = keys.map((key) => [
    style("accent", printable(key.name)),
    printable(key.id),
    printable(key.createdAt.slice(0, 10)),
    printable(key.lastUsedDay ?? "never"),
    keyLimits(key) || style("quiet", "none"),
  ]);
  return table(columns, rows, style);
}
