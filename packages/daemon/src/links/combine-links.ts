import type { LinkView } from "@clusterd/wire";

/**
 * What a decode step spends on a hop beside the daemons' own round trip: the engines' sockets to the daemons at both ends, the two
 * writes of a step instead of a ping's one. A hop takes 0.45 to 0.62 ms (docs/bench/decode.md) where a ping takes 0.2 to 0.3.
 */
export const ENGINE_HOP_MS = 0.3;

/**
 * One figure for a link from what its two ends measured. A hop sends a hidden state each way, `rtt + h ÷ there + h ÷ back`, which is the
 * planner's `rtt + 2h ÷ rate` for the harmonic mean of the two rates. Both ends' round trips are of the same wire: the smaller one has
 * less of their own load in it, and what the engines add at both ends comes on top. A direction that is not measured yet counts as the
 * other; where neither is, `assumed` bytes per second.
 */
export function combineLinks(
  measured: readonly LinkView[],
  assumed: number,
): { readonly rttMs: number; readonly bytesPerSecond: number } {
  const rates = measured.map((link) => link.bytesPerSecond).filter((rate) => rate > 0);
  const slowness = rates.reduce((sum, rate) => sum + 1 / rate, 0);
  // Heartbeats take another, slower way than tunnels: where there is a real measurement, only that counts.
  const real = measured.filter((link) => link.bytesPerSecond > 0);
  return {
    rttMs:
      real.length > 0
        ? Math.min(...real.map((link) => link.rttMs)) + ENGINE_HOP_MS
        : Math.min(...measured.map((link) => link.rttMs)),
    bytesPerSecond: rates.length === 0 ? assumed : rates.length / slowness,
  };
}
