import type { DeploymentPhase, NodeState } from "@clusterd/wire";
import type { Tone } from "../text/style.ts";

export const NODE_TONES: Readonly<Record<NodeState, Tone>> = { alive: "good", suspect: "warn", left: "quiet" };

export const PHASE_TONES: Readonly<Record<DeploymentPhase, Tone>> = {
  planning: "accent",
  fetching: "accent",
  loading: "accent",
  ready: "good",
  recovering: "warn",
  draining: "quiet",
  failed: "bad",
};
