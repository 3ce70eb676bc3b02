import type { Failure, HeadedDeployment } from "./daemon-state.ts";

/** More losses than this within the window, and the deployment is given up until someone loads it again. */
export const CRASHES_MAX = 3;
/** An engine that ends by itself so often within the window will end again. */
const ENGINE_CRASHES_MAX = 3;
export const CRASH_WINDOW_MS: number = 5 * 60_000;
/** First wait before a restart; it doubles with every crash in the window. */
export const RESTART_DELAY_MS = 500;

/** What a deployment does after its pipeline broke: start again after a growing wait, or stop and explain. */
export function afterCrash(deployment: HeadedDeployment, failure: Failure, atMs: number): HeadedDeployment {
  // A file does not mend itself.
  if (failure.code === "model_broken") return { ...deployment, phase: "failed", failure };
  const crashesAtMs = [...deployment.crashesAtMs.filter((crash) => atMs - crash < CRASH_WINDOW_MS), atMs];
  const most = failure.code === "engine_crashed" ? ENGINE_CRASHES_MAX - 1 : CRASHES_MAX;
  if (crashesAtMs.length > most) {
    const message = `${failure.message.replace(/\.$/, "")}. It broke ${crashesAtMs.length} times within ${CRASH_WINDOW_MS / 60_000} minutes and is not started again; load it once more when the cause is mended.`;
    return { ...deployment, phase: "failed", failure: { code: failure.code, message }, crashesAtMs };
  }
  return {
    ...deployment,
    phase: "recovering",
    failure,
    crashesAtMs,
    retryAtMs: atMs + RESTART_DELAY_MS * 2 ** (crashesAtMs.length - 1),
  };
}
