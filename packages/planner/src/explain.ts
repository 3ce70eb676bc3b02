import type { Alternative, Placement, PlannerNode } from "@clusterd/wire";

/** Faster by less than this counts as the same. */
const NEAR_SHARE = 0.021;
/** Of the same thing, slower by less than this is as fast. */
const SAME_SHARE = 0.005;

/** A placement's reasons: what it rests on, its runner-up and what that loses, what holds it up, and whether it is proven. Sentences. */
export function explainPlacement(
  placement: Omit<Placement, "why" | "speculation">,
  nodes: ReadonlyMap<string, PlannerNode>,
): readonly string[] {
  return [
    whySplit(placement, nodes),
    ...runnerUpText(placement),
    bottleneckText(placement, nodes),
    ...wiresText(placement),
    placement.certificate.optimal
      ? `Proven best: ${placement.certificate.method}; ${placement.certificate.explored} placements looked at.`
      : `Not proven best: ${placement.certificate.method}.`,
  ];
}

function milliseconds(ms: number): string {
  return `${ms >= 100 ? ms.toFixed(0) : ms.toFixed(1)} ms`;
}

function whySplit(
  { objective, stages, head, model, runnerUp, predicted }: Omit<Placement, "why" | "speculation">,
  nodes: ReadonlyMap<string, PlannerNode>,
): string {
  const [only] = stages;
  if (stages.length === 1 && only !== undefined) {
    if (only.node !== head) return `${only.node} holds all ${model.layerCount} layers, ${head} the embedding and the output.`;
    const others = nodes.size > 1 ? ": a split would add hops and hold no more" : "";
    return `The model fits ${only.node} alone${others}.`;
  }
  const headless = !stages.some((stage) => stage.node === head);
  const atHead = headless ? `; ${head} holds no layers, only the embedding and the output` : "";
  if (objective === "throughput")
    return `The layers are cut so that the slowest of ${stages.length} stages is as fast as can be${atHead}.`;
  if (objective === "spread") return `Every machine holds layers in proportion to its memory, as asked for${atHead}.`;
  const count = stages.length;
  if (runnerUp !== null && runnerUp.msPerToken < predicted.msPerToken)
    return `No machine holds the model alone. These ${count} together are within 2 % of the fastest that do, and leave the most room on each${atHead}.`;
  return `No machine holds the model alone. These ${count} together are the fastest that do${atHead}.`;
}

function runnerUpText({ runnerUp, predicted }: Omit<Placement, "why" | "speculation">): string[] {
  if (runnerUp === null) return [];
  const loses = runnerUp.msPerToken / predicted.msPerToken - 1;
  const by =
    Math.abs(loses) < SAME_SHARE
      ? "as fast, but less even"
      : loses > 0
        ? `${(loses * 100).toFixed(loses < 0.1 ? 1 : 0)} % slower`
        : loses > -NEAR_SHARE
          ? `${(-loses * 100).toFixed(1)} % faster, which counts as the same, but it leaves less room`
          : `${(-loses * 100).toFixed(0)} % faster, but a model that fits one machine is not split`;
  return [`Next best: ${describeAlternative(runnerUp)}, ${milliseconds(runnerUp.msPerToken)} per token: ${by}.`];
}

/** Its stages in a few words: `a 0-9 + b 10-31 (head c)`. */
export function describeAlternative({ head, stages }: Alternative): string {
  const parts = stages.map((stage) => `${stage.node} ${stage.firstLayer}-${stage.lastLayer}`).join(" + ");
  return stages.some((stage) => stage.node === head) ? parts : `${parts} (head ${head})`;
}

function bottleneckText(
  { bottleneck, predicted }: Omit<Placement, "why" | "speculation">,
  nodes: ReadonlyMap<string, PlannerNode>,
): string {
  const { kind, node, ms, share } = bottleneck;
  const part = `${milliseconds(ms)} of ${milliseconds(predicted.msPerToken)} per token (${(share * 100).toFixed(0)} %)`;
  if (kind === "link") return `The wire to ${node} is what holds it up most: ${part}.`;
  if (kind === "overhead")
    return `Start-up of each step on ${node} is what holds it up most: ${part}; the model is small for its machines.`;
  const gigabytesPerSecond = (nodes.get(node)?.bandwidthBytesPerSecond ?? 0) / 1e9;
  const source = nodes.get(node)?.bandwidthSource;
  const from = source === undefined ? "" : `, ${SOURCES[source]}`;
  return `Reading weights on ${node} (${gigabytesPerSecond.toFixed(gigabytesPerSecond < 10 ? 1 : 0)} GB/s${from}) is what holds it up most: ${part}.`;
}

const SOURCES = {
  table: "from the table of chips",
  probe: "probed",
  decode: "measured while decoding",
  flag: "as given",
} as const;

/** What all its wires cost together, where that is worth knowing. */
function wiresText({ stages, predicted }: Omit<Placement, "why" | "speculation">): string[] {
  const hopMs = stages.reduce((sum, stage) => sum + stage.hopMs, 0);
  const share = hopMs / predicted.msPerToken;
  if (share < 0.1) return [];
  return [`All wires together take ${milliseconds(hopMs)} per token (${(share * 100).toFixed(0)} %).`];
}
