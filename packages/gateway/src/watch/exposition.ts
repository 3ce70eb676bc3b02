/** Prometheus' text format, version 0.0.4. */

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** A label's value may hold anything: a node or a model may be called what it likes. */
function labelText(labels: Labels): string {
  const entries = Object.entries(labels);
  if (entries.length === 0) return "";
  const escaped = (value: string): string => value.replace(/[\\"\n]/g, (found) => (found === "\n" ? "\\n" : `\\${found}`));
  return `{${entries.map(([name, value]) => `${name}="${escaped(value)}"`).join(",")}}`;
}

function line(name: string, { labels = {}, value }: Sample): string {
  return `${name}${labelText(labels)} ${value}`;
}

function head(name: string, type: "counter" | "gauge" | "histogram", help: string): readonly string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}

/** Of samples with the same labels the last one counts: a scrape with both would be refused as a whole. */
export function family(name: string, type: "counter" | "gauge", help: string, samples: readonly Sample[]): string {
  const byLabels = new Map(samples.map((sample) => [labelText(sample.labels ?? {}), sample]));
  return [...head(name, type, help), ...[...byLabels.values()].map((sample) => line(name, sample))].join("\n");
}

/** A distribution for each value of one label. */
export interface Histogram {
  observe(label: string, value: number): void;
  text(): string;
}

interface Series {
  /** How many were at most as large as each bound. */
  readonly counts: number[];
  count: number;
  sum: number;
}

/** `bounds`: rising, without the infinite one. */
export function createHistogram(name: string, help: string, labelName: string, bounds: readonly number[]): Histogram {
  const all = new Map<string, Series>();
  return {
    observe(label, value) {
      if (!Number.isFinite(value)) return;
      const series = all.get(label) ?? { counts: bounds.map(() => 0), count: 0, sum: 0 };
      all.set(label, series);
      series.count += 1;
      series.sum += value;
      for (const [at, bound] of bounds.entries()) if (value <= bound) series.counts[at] = (series.counts[at] ?? 0) + 1;
    },
    text() {
      const lines = [...all].flatMap(([label, { counts, count, sum }]) => {
        const labels = { [labelName]: label };
        return [
          ...bounds.map((bound, at) =>
            line(`${name}_bucket`, { labels: { ...labels, le: String(bound) }, value: counts[at] ?? 0 }),
          ),
          line(`${name}_bucket`, { labels: { ...labels, le: "+Inf" }, value: count }),
          line(`${name}_sum`, { labels, value: sum }),
          line(`${name}_count`, { labels, value: count }),
        ];
      });
      return [...head(name, "histogram", help), ...lines].join("\n");
    },
  };
}

/** A count for each value of some labels, from fixed sets. */
export interface Counter {
  add(labels: Labels, by?: number): void;
  text(): string;
}

export function createCounter(name: string, help: string): Counter {
  const all = new Map<string, { readonly labels: Labels; value: number }>();
  return {
    add(labels, by = 1) {
      const key = labelText(labels);
      const known = all.get(key) ?? { labels, value: 0 };
      all.set(key, known);
      known.value += by;
    },
    text: () => family(name, "counter", help, [...all.values()]),
  };
}
