import { ClusterdError, type ErrorCode } from "@clusterd/wire";
import type { Backend, Route } from "../backend.ts";
import { CAUSE_WAIT_MS_MAX } from "../limits.ts";

/** Causes that a deployment's reason may begin with, as in `worker_lost: The worker on mini-2 was lost`. */
const CAUSES: readonly ErrorCode[] = ["worker_lost", "engine_stalled", "engine_crashed", "shards_unreachable"];

/**
 * Why an exchange with a deployment broke. An error that names its cause is taken at its word; for any other the node is
 * given a moment to learn what happened, for the connection breaks before the news of a dead worker arrives.
 */
export async function causeOf(backend: Backend, route: Route, error: unknown): Promise<ClusterdError> {
  if (error instanceof ClusterdError && error.code !== "failed") return error;
  const now = await changedRoute(backend, route);
  const who = `${route.model} on ${route.head.name}`;
  const reason = now?.reason ?? null;
  if (now === null && backend.route(route.model) === null) {
    return new ClusterdError("engine_crashed", `The deployment of ${who} was ended.`, { cause: error });
  }
  if (reason === null) return new ClusterdError("engine_crashed", `The engine of ${who} broke off.`, { cause: error });
  const code = CAUSES.find((cause) => reason.startsWith(cause));
  const text = code === undefined ? reason : reason.slice(code.length).replace(/^[:\s]+/, "");
  return new ClusterdError(code ?? "engine_crashed", `The engine of ${who} broke off: ${text}`, { cause: error });
}

/** The deployment once it is known not to be well any more, or as it stands when the wait is over. */
async function changedRoute(backend: Backend, route: Route): Promise<Route | null> {
  const current = (): Route | null => backend.routes().find(({ deployment }) => deployment === route.deployment) ?? null;
  const settled = (): boolean => {
    const now = current();
    return now === null || (now.phase !== "ready" && now.reason !== null);
  };
  if (!settled()) {
    await new Promise<void>((resolve) => {
      const stop = backend.onChange(() => {
        if (settled()) finish();
      });
      const timer = setTimeout(() => finish(), CAUSE_WAIT_MS_MAX);
      function finish(): void {
        clearTimeout(timer);
        stop();
        resolve();
      }
    });
  }
  const now = current();
  return now?.phase === "ready" ? null : now;
}
