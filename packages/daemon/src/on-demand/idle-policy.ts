import type { OnDemandView } from "@clusterd/wire";
import type { HeadedDeployment, UseRecord } from "../state/daemon-state.ts";

/** What a request loaded is there for it at least so long after it came up: a client that was told to come back may take a while. */
export const FIRST_USE_MS = 120_000;
/** A load that failed is told of for so long; then a request may try again. */
export const FAILED_KEPT_MS = 30_000;

/** What is seen of a deployment that is up. */
export interface WorkSeen {
  /** Whether it works for someone, or someone waits for it. */
  readonly busy: boolean;
  /** Whether it has worked since the last look, be it over or not. */
  readonly worked: boolean;
}

/** The record of a deployment's use after another look. `nowMs` is monotonic, `clockMs` since 1970. The same object where nothing changed. */
export function afterLook(record: UseRecord, { busy, worked }: WorkSeen, nowMs: number, clockMs: number): UseRecord {
  const wasUp = record.usedAt > 0;
  if (!wasUp) return { idleSinceMs: busy ? null : nowMs, usedAt: clockMs, served: busy || worked };
  const wasBusy = record.idleSinceMs === null;
  if (busy) return wasBusy && record.served ? record : { idleSinceMs: null, usedAt: clockMs, served: true };
  if (!wasBusy && !worked) return record;
  return { idleSinceMs: nowMs, usedAt: clockMs, served: true };
}

type Kept = Pick<HeadedDeployment, "use"> & { readonly asked: Pick<HeadedDeployment["asked"], "onDemand"> };

/** How long a deployment may be idle, in milliseconds; Infinity where it stays. */
function keepAliveMs({ asked, use }: Kept): number {
  const seconds = asked.onDemand?.keepAliveSeconds;
  if (seconds === null || seconds === undefined) return Infinity;
  return use.served ? seconds * 1000 : Math.max(FIRST_USE_MS, seconds * 1000);
}

/** When a deployment is to be unloaded, in monotonic milliseconds; Infinity where it is not. */
export function unloadAtMs(deployment: Kept): number {
  const { idleSinceMs } = deployment.use;
  return idleSinceMs === null ? Infinity : idleSinceMs + keepAliveMs(deployment);
}

/** What everyone may see of how long a deployment stays; null where a person loaded it. */
export function onDemandView(deployment: Kept & Pick<HeadedDeployment, "phase">): OnDemandView | null {
  const { asked, use, phase } = deployment;
  if (asked.onDemand === null || asked.onDemand === undefined) return null;
  const idle = phase === "ready" && use.idleSinceMs !== null;
  const keptMs = keepAliveMs(deployment);
  const { keepAliveSeconds } = asked.onDemand;
  return { keepAliveSeconds, idle, usedAt: use.usedAt, until: idle && Number.isFinite(keptMs) ? use.usedAt + keptMs : null };
}
