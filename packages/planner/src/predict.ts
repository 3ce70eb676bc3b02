import {
  promptBatchTokens,
  type BandwidthSource,
  type Bottleneck,
  type LayerProfile,
  type Placement,
  type PlannerNode,
  type PlanStage,
} from "@clusterd/wire";

/** Prompt for which a time to first token is predicted, unless another is asked for. Tokens. */
export const PROMPT_TOKENS_DEFAULT = 512;

/**
 * How far the time that weights take to be read may be off, by where the bandwidth comes from: a share either way. Tables give peaks,
 * of which decoding reaches 60 to 80 % (planned with: 70); a probe runs the engine's own arithmetic for a second; decode is the thing itself.
 */
const OFF_BY: Readonly<Record<BandwidthSource, number>> = { table: 0.15, flag: 0.15, probe: 0.1, decode: 0.04 };
/** The same of a hop, whose round trips vary with what else the network carries, and of a stage's constant overhead. */
const HOP_OFF_BY = 0.25;
const OVERHEAD_OFF_BY = 0.5;

/** What a placement's figures rest on. */
export interface Predicted {
  readonly stages: readonly PlanStage[];
  readonly head: string;
  readonly headMs: number;
  readonly msPerToken: number;
  readonly stageOverheadMs: number;
}

/**
 * Tokens per second for one stream, with the range its inputs allow. Errors of one source are taken to point the same way and add up;
 * those of different sources, of wires and of overheads are independent and add in squares.
 */
export function predictSpeed(
  placed: Predicted,
  nodes: ReadonlyMap<string, PlannerNode>,
): Pick<Placement["predicted"], "msPerToken" | "headMs" | "tokensPerSecond" | "low" | "high"> {
  const off = new Map<string, number>();
  const add = (kind: string, ms: number): void => void off.set(kind, (off.get(kind) ?? 0) + ms);
  const sourceOf = (name: string): BandwidthSource => nodes.get(name)?.bandwidthSource ?? "flag";
  for (const stage of placed.stages) {
    const overheadMs = Math.min(stage.computeMs, placed.stageOverheadMs);
    add(sourceOf(stage.node), (stage.computeMs - overheadMs) * OFF_BY[sourceOf(stage.node)]);
    add("overhead", overheadMs * OVERHEAD_OFF_BY);
    add("hop", stage.hopMs * HOP_OFF_BY);
  }
  add(sourceOf(placed.head), placed.headMs * OFF_BY[sourceOf(placed.head)]);
  const offMs = Math.hypot(...off.values());
  const { msPerToken, headMs } = placed;
  return {
    msPerToken,
    headMs,
    tokensPerSecond: 1000 / msPerToken,
    low: 1000 / (msPerToken + offMs),
    high: 1000 / (msPerToken - offMs),
  };
}

/** Floating-point operations of one prompt token in a layer: a multiplication and an addition for each weight it uses. */
function layerFlops(layer: LayerProfile): number {
  return 2 * layer.activeParameters;
}

/**
 * Milliseconds from a prompt's arrival to the first token, cache empty; null where some stage's arithmetic is not known. A micro-batch takes
 * a stage the longer of its arithmetic and of reading its weights once. Micro-batches follow each other through the stages as on a belt: the
 * first passes them all, then the slowest stage sets the pace (docs/bench/prefill.md).
 */
export function predictFirstToken(
  placed: Predicted,
  layers: readonly LayerProfile[],
  nodes: ReadonlyMap<string, PlannerNode>,
  hop: (stage: PlanStage, tokens: number) => number,
  promptTokens: number,
): number | null {
  const perBatch = promptBatchTokens(placed.stages.length);
  const stageMs = (stage: PlanStage, tokens: number): number | null => {
    const node = nodes.get(stage.node);
    if (node?.flopsPerSecond === undefined) return null;
    const own = layers.slice(stage.firstLayer, stage.lastLayer + 1);
    const flops = own.reduce((sum, layer) => sum + layerFlops(layer), 0) * tokens;
    // Many tokens together meet every expert: all the weights are read.
    const read = own.reduce((sum, layer) => sum + layer.weightBytes, 0);
    const workMs = 1000 * Math.max(flops / node.flopsPerSecond, read / node.bandwidthBytesPerSecond);
    return workMs + placed.stageOverheadMs + hop(stage, tokens);
  };
  const tokens = Math.max(1, Math.min(promptTokens, perBatch));
  const times = placed.stages.map((stage) => stageMs(stage, tokens));
  if (times.some((ms) => ms === null)) return null;
  const known = times.map((ms) => ms ?? 0);
  const batches = Math.max(1, promptTokens / tokens);
  return placed.headMs + known.reduce((sum, ms) => sum + ms, 0) + (batches - 1) * Math.max(...known);
}

/** Where most of a token's time goes. */
export function findBottleneck(placed: Predicted): Bottleneck {
  const parts: Omit<Bottleneck, "share">[] = placed.stages.flatMap((stage) => {
    const overheadMs = Math.min(stage.computeMs, placed.stageOverheadMs);
    return [
      {
        kind: "memory bandwidth" as const,
        node: stage.node,
        ms: stage.computeMs - overheadMs + (stage.node === placed.head ? placed.headMs : 0),
      },
      { kind: "link" as const, node: stage.node, ms: stage.hopMs },
      { kind: "overhead" as const, node: stage.node, ms: overheadMs },
    ];
  });
  if (!placed.stages.some((stage) => stage.node === placed.head))
    parts.push({ kind: "memory bandwidth", node: placed.head, ms: placed.headMs });
  const most = parts.reduce((worst, part) => (part.ms > worst.ms ? part : worst));
  return { ...most, share: most.ms / placed.msPerToken };
}
