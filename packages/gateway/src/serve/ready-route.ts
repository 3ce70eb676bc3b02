import { ClusterdError } from "@clusterd/wire";
import type { Backend, Route } from "../backend.ts";
import { clientGone, HttpRefusal } from "../http-refusal.ts";
import { IMPATIENT_MS_MAX, READY_MS_MAX } from "../limits.ts";
import type { LoadingBoard, Standing } from "../loading/loading-board.ts";
import type { ReadyOptions } from "../relay/generation.ts";

export interface ReadyWishes extends ReadyOptions {
  readonly loading: LoadingBoard;
  /** What the client says itself about how long it waits, in seconds; null: nothing. */
  readonly waitSeconds: number | null;
  /** How long what requests load stays, by the request itself, in seconds; null: always; absent: by this node's rule. */
  readonly keepAliveSeconds?: number | null | undefined;
  /** See conversation.ts. */
  readonly conversation?: string | null;
}

/**
 * The deployment of a model, once it answers: what is known and not deployed is loaded. Streams wait and are told how far it is; others
 * wait a moment only, unless they prefer to. Rejects where it will not answer, or with when to come back.
 */
export async function readyRoute(backend: Backend, name: string, wishes: ReadyWishes): Promise<Route> {
  const { keepAliveSeconds, conversation = null } = wishes;
  const route = readyNow(backend, name, conversation) ?? (await awaited(backend, name, wishes));
  if (keepAliveSeconds !== undefined) backend.keepAlive(route.deployment, keepAliveSeconds);
  return route;
}

function readyNow(backend: Backend, name: string, conversation: string | null): Route | null {
  const route = backend.route(name, conversation);
  return route?.phase === "ready" ? route : null;
}

async function awaited(backend: Backend, name: string, wishes: ReadyWishes): Promise<Route> {
  const { signal, onWaiting, stream, waitSeconds } = wishes;
  const waitMs = waitSeconds === null ? (stream ? READY_MS_MAX : IMPATIENT_MS_MAX) : waitSeconds * 1000;
  const { promise, resolve, reject } = Promise.withResolvers<Route>();
  let last: Standing | null = null;
  const look = (now: Standing | null): void => {
    last = now ?? last;
    if (now?.kind === "refused") return reject(now.error);
    if (now?.kind === "waiting") return onWaiting(now.text);
    const route = readyNow(backend, name, wishes.conversation ?? null);
    if (route !== null) resolve(route);
  };
  using _watch = wishes.loading.watch(name, wishes.keepAliveSeconds, look);
  const timer = setTimeout(() => reject(notReady(name, last)), waitMs);
  const gone = (): void => reject(signal.reason instanceof ClusterdError ? signal.reason : clientGone());
  signal.addEventListener("abort", gone, { once: true });
  if (signal.aborted) gone();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", gone);
    onWaiting(null);
  }
}

/** With how far it is, and when to come back. */
function notReady(name: string, standing: Standing | null): HttpRefusal {
  const { model, text, retryAfterSeconds } =
    standing?.kind === "waiting" ? standing : { model: name, text: "not ready", retryAfterSeconds: 1 };
  const what = text.includes(model) ? text.replace(/\.$/, "") : `${model} is ${text}`;
  return new HttpRefusal(503, "model_not_ready", `${what}. Try again in ${retryAfterSeconds} s.`, {
    param: "model",
    headers: { "retry-after": String(retryAfterSeconds) },
  });
}
