import type { LinkView } from "@clusterd/wire";

/**
 * One figure for a link from what its two ends measured. A hop sends a hidden state each way, `rtt + h ÷ there + h ÷ back`, which is the
 * planner's `rtt + 2h ÷ rate` for the harmonic mean of the two rates. Both ends' round trips are of the same wire: the smaller one has
 * less of their own load in it. A direction that is not measured yet counts as the other; where neither is, `assumed` bytes per second.
 */
export function combineLinks(
  measured: readonly LinkView[],
  assumed: number,
): { readonly rttMs: number; readonly bytesPerSecond: number } {
  const rates = measured.map((link) => link.bytesPerSecond).filter((rate) => rate > 0);
  const slowness = rates.reduce((sum, rate) => sum + 1 / rate, 0);
  // Heartbeats take another way than tunnels: where there is a real measurement, only that counts.
  const real = measured.filter((link) => link.bytesPerSecond > 0);
  return {
    rttMs: Math.min(...(real.length > 0 ? real : measured).map((link) => link.rttMs)),
    bytesPerSecond: rates.length === 0 ? assumed : rates.length / slowness,
  };
}
