import { asClusterdError, ClusterdError, type ContentId, type DeploymentId } from "@clusterd/wire";
import { FAILED_KEPT_MS } from "./idle-policy.ts";

/** Different models that requests may want at once. */
const WANTED_MAX = 64;
/** What was refused only because others work just now is tried again so soon. */
const WAITING_KEPT_MS = 2_000;
const FAILURES_MAX = 256;

export interface RequestLoadsConfig {
  /** Brings a model's deployment about, or finds it. */
  load(contentId: ContentId, keepAliveSeconds: number | null): Promise<DeploymentId>;
  /** Monotonic milliseconds. */
  now(): number;
}

/**
 * Loads for requests at the node that decides: one after the other, so that no two count on the same room; all who want the same model
 * share one load; and what was refused is not tried again with every request, but told again for a while.
 */
export function createRequestLoads(
  config: RequestLoadsConfig,
): (contentId: ContentId, keepAliveSeconds: number | null) => Promise<DeploymentId> {
  const underWay = new Map<ContentId, Promise<DeploymentId>>();
  const failures = new Map<ContentId, { readonly error: ClusterdError; readonly untilMs: number }>();
  let last: Promise<unknown> = Promise.resolve();

  function failed(contentId: ContentId, error: ClusterdError): void {
    const keptMs = error.code === "model_not_ready" ? WAITING_KEPT_MS : FAILED_KEPT_MS;
    failures.delete(contentId);
    failures.set(contentId, { error, untilMs: config.now() + keptMs });
    const [oldest] = failures.keys();
    if (failures.size > FAILURES_MAX && oldest !== undefined) failures.delete(oldest);
  }

  return async (contentId, keepAliveSeconds) => {
    const known = underWay.get(contentId);
    if (known !== undefined) return known;
    const failure = failures.get(contentId);
    if (failure !== undefined && config.now() < failure.untilMs) throw failure.error;
    failures.delete(contentId);
    if (underWay.size >= WANTED_MAX)
      throw new ClusterdError("model_not_ready", `${WANTED_MAX} other models are wanted at the moment.`, {
        next: "Try again shortly.",
      });
    const before = last;
    const load = (async () => {
      await before.catch(() => undefined);
      return config.load(contentId, keepAliveSeconds);
    })();
    last = load;
    underWay.set(contentId, load);
    try {
      return await load;
    } catch (error) {
      failed(contentId, asClusterdError(error));
      throw error;
    } finally {
      underWay.delete(contentId);
    }
  };
}
