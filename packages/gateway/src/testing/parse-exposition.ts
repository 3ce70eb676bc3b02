/** A strict reader of Prometheus' text format, version 0.0.4: throws at whatever a scraper might take offence at. */

export interface Series {
  /** The name as written, e.g. with `_bucket`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly series: readonly Series[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"/;
const VALUE = /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]Inf|NaN)$/i;
const SUFFIXES = ["_bucket", "_sum", "_count"];

/** Equal for the same labels in any order, one of them left out. */
function keyOf(labels: Readonly<Record<string, string>>, without?: string): string {
  const entries = Object.entries(labels).filter(([name]) => name !== without);
  return JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

class Reader {
  readonly families: Family[] = [];
  readonly #seen = new Set<string>();
  readonly #closed = new Set<string>();
  #open: { name: string; type: string | null; help: string | null; series: Series[] } | null = null;

  line(line: string): void {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment === null && line.startsWith("#")) throw new Error(`not HELP or TYPE: ${line}`);
    if (comment !== null) this.#comment(comment[1] ?? "", comment[2] ?? "", comment[3] ?? "", line);
    else this.#series(line);
  }

  #comment(kind: string, name: string, text: string, line: string): void {
    if (NAME.exec(name)?.[0] !== name) throw new Error(`no metric's name: ${line}`);
    if (this.#open?.name !== name) {
      this.close();
      if (this.#closed.has(name)) throw new Error(`${name} is told of twice`);
      this.#open = { name, type: null, help: null, series: [] };
    }
    const open = this.#open;
    if (open.series.length > 0) throw new Error(`after its samples: ${line}`);
    if (kind === "HELP") {
      if (open.help !== null) throw new Error(`a second HELP: ${line}`);
      if (text.trim() === "") throw new Error(`no help: ${line}`);
      open.help = text;
      return;
    }
    if (open.type !== null) throw new Error(`a second TYPE: ${line}`);
    if (!["counter", "gauge", "histogram"].includes(text)) throw new Error(`an unknown type: ${line}`);
    if (text === "counter" && !name.endsWith("_total")) throw new Error(`a counter's name ends in _total: ${line}`);
    open.type = text;
  }

  #series(line: string): void {
    const open = this.#open;
    if (open === null || open.type === null || open.help === null) throw new Error(`a sample without HELP and TYPE: ${line}`);
    const name = NAME.exec(line)?.[0] ?? "";
    const suffix = SUFFIXES.find((end) => name === open.name + end);
    if (open.type === "histogram" ? suffix === undefined : name !== open.name) throw new Error(`not of ${open.name}: ${line}`);
    let rest = line.slice(name.length);
    const labels: Record<string, string> = {};
    if (rest.startsWith("{")) {
      rest = rest.slice(1);
      while (!rest.startsWith("}")) {
        const [whole, label = "", value = ""] = LABEL.exec(rest) ?? [];
        if (whole === undefined) throw new Error(`a broken label: ${line}`);
        if (Object.hasOwn(labels, label)) throw new Error(`a label twice: ${line}`);
        labels[label] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
        rest = rest.slice(whole.length);
        if (rest.startsWith(",")) rest = rest.slice(1);
        else if (!rest.startsWith("}")) throw new Error(`a broken list of labels: ${line}`);
      }
      rest = rest.slice(1);
    }
    const [space, text] = [rest[0], rest.slice(1)];
    if (space !== " " || !VALUE.test(text)) throw new Error(`no value: ${line}`);
    const value = Number(text.replace(/Inf$/i, "Infinity"));
    if (open.type !== "gauge" && !(value >= 0)) throw new Error(`a count below nothing: ${line}`);
    const key = name + keyOf(labels);
    if (this.#seen.has(key)) throw new Error(`a series twice: ${line}`);
    this.#seen.add(key);
    open.series.push({ name, labels, value });
  }

  close(): void {
    const open = this.#open;
    if (open === null) return;
    if (open.type === null || open.help === null) throw new Error(`${open.name} has no HELP or no TYPE`);
    const family = { name: open.name, type: open.type as Family["type"], help: open.help, series: open.series };
    if (family.type === "histogram") checkHistogram(family);
    this.families.push(family);
    this.#closed.add(open.name);
    this.#open = null;
  }
}

function checkHistogram({ name, series }: Family): void {
  const byLabels = Map.groupBy(series, ({ labels }) => keyOf(labels, "le"));
  for (const [labels, group] of byLabels) {
    const buckets = group.filter((one) => one.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels: { le = "" } }) => Number(le.replace("+Inf", "Infinity")));
    if (bounds.at(-1) !== Infinity) throw new Error(`${name}${labels} does not end with +Inf`);
    for (const [at, bound] of bounds.entries()) {
      const before = bounds[at - 1] ?? -Infinity;
      if (!(bound > before)) throw new Error(`${name}${labels}: bounds that do not rise`);
      if ((buckets[at]?.value ?? 0) < (buckets[at - 1]?.value ?? 0))
        throw new Error(`${name}${labels}: buckets are not cumulative`);
    }
    const count = group.filter((one) => one.name === `${name}_count`);
    const sum = group.filter((one) => one.name === `${name}_sum`);
    if (count.length !== 1 || sum.length !== 1) throw new Error(`${name}${labels} has no sum or no count`);
    if (count[0]?.value !== buckets.at(-1)?.value) throw new Error(`${name}${labels}: count and +Inf differ`);
  }
}

export function parseExposition(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const reader = new Reader();
  for (const line of text.slice(0, -1).split("\n")) reader.line(line);
  reader.close();
  return new Map(reader.families.map((family) => [family.name, family]));
}
