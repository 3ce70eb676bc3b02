import type { Route } from "../backend.ts";
import type { LoadEstimate } from "./load-estimate.ts";

/** How far a load is, as people read it: `loading 43 %, about 12 s left`. */
export function loadingText(phase: Route["phase"], estimate: LoadEstimate | null): string {
  if (estimate === null || phase === "planning") return phase;
  const { progress, secondsLeft } = estimate;
  const left = secondsLeft === null ? "" : `, about ${Math.max(1, Math.round(secondsLeft))} s left`;
  return `${phase} ${Math.floor(progress * 100)} %${left}`;
}
