import { ClusterdError } from "@clusterd/wire";
import type { Route } from "../backend.ts";
import { SUPERSEDED_MS_MAX } from "../limits.ts";
import type { Exchange } from "./engine-exchange.ts";

/** How often a request that has come to nothing is sent on its way again. */
const TRIES_MAX = 3;

/**
 * Answers by a deployment that may go between its choice and the request's turn: because it was idle until then, or for another
 * placement. Nothing has been sent by then, so the request begins anew, and what has gone is loaded again.
 */
export async function answered<Answer>(
  open: () => Promise<Exchange>,
  answer: (exchange: Exchange) => Promise<Answer>,
  signal: AbortSignal,
): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    const exchange = await open();
    try {
      return await answer(exchange);
    } catch (error) {
      const gone = error instanceof ClusterdError && error.code === "shards_unreachable" && !signal.aborted;
      if (!gone || tries >= TRIES_MAX || !(await isSuperseded(exchange))) throw error;
    }
  }
}

/** Whether a deployment was taken off, and others take its place: one of the same model, or the same again on request. */
async function isSuperseded({ backend, route }: Exchange): Promise<boolean> {
  const current = (): Route | undefined => backend.routes().find(({ deployment }) => deployment === route.deployment);
  const isUp = (): boolean => current()?.phase === "ready";
  if (isUp()) {
    // The news of its end takes a moment to get here.
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = backend.onChange(() => {
      if (!isUp()) resolve();
    });
    const timer = setTimeout(resolve, SUPERSEDED_MS_MAX);
    await promise;
    clearTimeout(timer);
    stop();
  }
  if (isUp() || current()?.phase === "failed") return false;
  const other = backend.route(route.model);
  const another = other !== null && other.deployment !== route.deployment && other.phase !== "failed";
  return another || (route.onDemand === true && backend.known(route.model) !== null);
}
