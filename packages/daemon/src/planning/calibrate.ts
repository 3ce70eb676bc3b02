import type { DeviceInfo } from "@clusterd/wire";
import type { DaemonState } from "../state/daemon-state.ts";
import { allDeployments } from "../state/view.ts";

/** Below this a step is mostly overhead, and says little of the memory. */
const STEP_MS_MIN = 5;
const STEPS_MIN = 64;
/** Steps of more tokens are bounded by arithmetic, not by memory. */
const TOKENS_MAX = 1.1;
/** A change below this share is noise. */
const CHANGE_MIN = 0.05;

/**
 * This node's device with the bandwidth that decoding has shown, or null where there is nothing new: weights read per step ÷ (time at work
 * less `overheadMs`, the planner's constant per stage), from the stage of this node with the longest steps. What a person has set stays.
 */
export function calibratedDevice(state: DaemonState, overheadMs: number): DeviceInfo | null {
  const { device } = state.own;
  if (device.bandwidthSource === "flag") return null;
  const shown = allDeployments(state)
    .filter(({ view }) => view.state === "ready")
    .flatMap(({ view }) => view.stages)
    .flatMap((stage) => {
      const { node, timing, activeBytes } = stage;
      const good =
        node === state.self &&
        timing !== null &&
        timing.steps >= STEPS_MIN &&
        timing.tokensPerStep < TOKENS_MAX &&
        timing.computeMs.p50 >= STEP_MS_MIN;
      return good ? [{ activeBytes, ms: timing.computeMs.p50 - overheadMs }] : [];
    })
    .toSorted((a, b) => b.ms - a.ms)[0];
  if (shown === undefined || shown.ms <= 0) return null;
  const bandwidth = Math.round(shown.activeBytes / (shown.ms / 1000));
  const known = device.bandwidthBytesPerSecond;
  if (device.bandwidthSource === "decode" && Math.abs(bandwidth - known) <= CHANGE_MIN * known) return null;
  return { ...device, bandwidthBytesPerSecond: bandwidth, bandwidthSource: "decode" };
}
