import type { EngineRequest } from "@clusterd/gateway";
import { asClusterdError, type DeploymentId, type ErrorCode } from "@clusterd/wire";

/** Replicas that one request is tried at. */
const ATTEMPTS_MAX = 3;
/** What befalls one replica and not the others. */
const ITS_OWN: ReadonlySet<ErrorCode> = new Set(["shards_unreachable", "worker_lost", "engine_crashed", "engine_stalled"]);

export interface FailOverConfig {
  fetch(deployment: DeploymentId, request: EngineRequest): Promise<Response>;
  /** Another replica that is ready, of those not tried yet; null: there is none. */
  another(tried: ReadonlySet<DeploymentId>): DeploymentId | null;
}

/**
 * An engine's answer, from another replica where the one chosen is lost before it has begun to answer: its loss may not be known here
 * yet. Once an answer has begun, its fate is that replica's.
 */
export async function fetchWithFailOver(
  deployment: DeploymentId,
  request: EngineRequest,
  { fetch, another }: FailOverConfig,
): Promise<Response> {
  const tried = new Set<DeploymentId>();
  for (let at = deployment; ;) {
    try {
      return await fetch(at, request);
    } catch (error) {
      tried.add(at);
      const isOver = request.signal.aborted || !ITS_OWN.has(asClusterdError(error).code) || tried.size >= ATTEMPTS_MAX;
      const next = isOver ? null : another(tried);
      if (next === null) throw error;
      at = next;
    }
  }
}
