import { formatBytes } from "@clusterd/device";
import type { LinkView, NodeView } from "@clusterd/wire";
import type { ClusterFacts } from "../facts.ts";
import { check, hint, wrong, type Check } from "../check.ts";

/** 100 Mbit/s, less what its frames take. */
const RATE_BYTES_MIN: number = 11e6;
const RTT_MS_MAX = 5;
/** One direction so many times as fast as the other. */
const ASYMMETRY_MIN = 3;
/** A cable's median is near its minimum; Wi-Fi's is milliseconds above it. */
const JITTER_MS_MIN = 2;
const JITTER_RATIO_MIN = 2;
/** Within this every link that works has been measured, if somebody measured at all. */
const MEASURED_MS_MAX: number = 10 * 60_000;

interface Pair {
  readonly a: NodeView;
  readonly b: NodeView;
  readonly there: LinkView | undefined;
  readonly back: LinkView | undefined;
}

function pairs({ state }: ClusterFacts): readonly Pair[] {
  const nodes = state.nodes.filter((node) => node.state === "alive");
  return nodes.flatMap((a, index) =>
    nodes.slice(index + 1).map((b) => ({
      a,
      b,
      there: a.links.find(({ to }) => to === b.id),
      back: b.links.find(({ to }) => to === a.id),
    })),
  );
}

const rateOf = (link: LinkView | undefined): number => link?.bytesPerSecond ?? 0;
const between = ({ a, b }: Pick<Pair, "a" | "b">): string => `${a.name} – ${b.name}`;

const oneWayCheck: Check = check({
  name: "one-way",
  title: "links that work both ways",
  needs: ["cluster"],
  find({ cluster }) {
    return pairs(cluster).flatMap(({ a, b, there, back }) => {
      const found = (
        from: NodeView,
        to: NodeView,
        works: LinkView | undefined,
        other: LinkView | undefined,
      ): ReturnType<typeof wrong>[] => {
        if (rateOf(other) > 0 || rateOf(works) === 0) return [];
        // One that has just come is measured in its turn.
        if (cluster.nowMs - (works?.measuredAt ?? cluster.nowMs) < MEASURED_MS_MAX) return [];
        return [
          wrong(
            `${from.name} → ${to.name}`,
            `${from.name} cannot open tunnels to ${to.name}; the other way they work`,
            `a head on ${from.name} can give ${to.name} no layers`,
            `On ${to.name} let TCP 2575 (or the port its log names) through its firewall.`,
          ),
        ];
      };
      return [...found(a, b, back, there), ...found(b, a, there, back)];
    });
  },
});

const slowCheck: Check = check({
  name: "links",
  title: "fast links",
  needs: ["cluster"],
  find({ cluster }) {
    return pairs(cluster).flatMap((pair) => {
      const known = [pair.there, pair.back].filter((link) => rateOf(link) > 0);
      const rate = Math.min(...known.map(rateOf));
      const rttMs = Math.min(...known.map((link) => link?.rttMs ?? Infinity));
      return [
        ...(rate < RATE_BYTES_MIN
          ? [
              hint(
                between(pair),
                `the link carries ${formatBytes(rate)}/s`,
                "weights and prompts pass slowly, answers hardly",
                "Use gigabit cables and switches where it matters.",
              ),
            ]
          : []),
        ...(Number.isFinite(rttMs) && rttMs > RTT_MS_MAX
          ? [
              hint(
                between(pair),
                `a round trip takes ${rttMs.toFixed(1)} ms`,
                "every token of a pipeline over it pays that",
                "Use a cable, or keep layers of one model on one side: load --without NODE.",
              ),
            ]
          : []),
      ];
    });
  },
});

const asymmetryCheck: Check = check({
  name: "asymmetry",
  title: "links as fast both ways",
  needs: ["cluster"],
  find({ cluster }) {
    return pairs(cluster).flatMap((pair) => {
      const [slow, fast] = [rateOf(pair.there), rateOf(pair.back)].toSorted((one, other) => one - other);
      if (slow === undefined || fast === undefined || slow === 0 || fast < ASYMMETRY_MIN * slow) return [];
      const [from, to] = rateOf(pair.there) === slow ? [pair.a, pair.b] : [pair.b, pair.a];
      return [
        hint(
          `${from.name} → ${to.name}`,
          `${formatBytes(slow)}/s, the other way ${formatBytes(fast)}/s`,
          "a pipeline waits for the slower way",
          "A bad cable, a duplex mismatch or a weak radio does this: try another cable or port.",
        ),
      ];
    });
  },
});

const jitterCheck: Check = check({
  name: "jitter",
  title: "steady links",
  needs: ["cluster"],
  find({ cluster }) {
    return pairs(cluster).flatMap((pair) => {
      const shaky = [pair.there, pair.back].some((link) => {
        const least = link?.rttMsMin ?? null;
        return (
          link !== undefined &&
          rateOf(link) > 0 &&
          least !== null &&
          link.rttMs - least > JITTER_MS_MIN &&
          link.rttMs > JITTER_RATIO_MIN * least
        );
      });
      if (!shaky) return [];
      return [
        hint(
          between(pair),
          "round trips vary as over Wi-Fi",
          "tokens come unevenly, and slower than the best round trip promises",
          "Use a cable for machines that hold layers.",
        ),
      ];
    });
  },
});

export const LINK_CHECKS: readonly Check[] = [oneWayCheck, slowCheck, asymmetryCheck, jitterCheck];
