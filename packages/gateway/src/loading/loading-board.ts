import { sameModel } from "@clusterd/wire";
import type { Backend, Route } from "../backend.ts";
import { HttpRefusal } from "../http-refusal.ts";
import { unknownModel } from "../routes/model-routes.ts";
import { createLoadEstimates, retryAfterFor } from "./load-estimate.ts";
import { loadingText } from "./loading-text.ts";
import { wantLoad, type WantedLoad } from "./wanted-load.ts";

/** Changes of the state that come faster are looked at together. */
const CHANGE_MS = 100;
/** What is told of a load is brought up to date this often. */
const TICK_MS = 1_000;

/** Where a model stands that is not ready: what is waited for in words and when to come back instead, or why waiting is in vain. */
export type Standing =
  | { readonly kind: "waiting"; readonly model: string; readonly text: string; readonly retryAfterSeconds: number }
  | { readonly kind: "refused"; readonly error: unknown };

/** The models that requests of this node wait for: each looked after once, however many wait. */
export interface LoadingBoard {
  /**
   * Tells of a model whenever it stands differently, null meaning that it may be ready; at once, too. One that is known and not deployed
   * is loaded; `keepAliveSeconds` as for `want`. Disposing of what this gives ends the telling, and the last one's the looking.
   */
  watch(name: string, keepAliveSeconds: number | null | undefined, listener: (now: Standing | null) => void): Disposable;
}

interface Entry {
  readonly listeners: Set<(now: Standing | null) => void>;
  readonly look: () => void;
  readonly end: () => void;
  now: Standing | null;
}

export function createLoadingBoard(backend: Backend): LoadingBoard {
  const entries = new Map<string, Entry>();
  const estimates = createLoadEstimates();

  function begin(name: string, keepAliveSeconds: number | null | undefined): Entry {
    let want: WantedLoad | null = null;
    let refusedWith: string | null = null;
    let soon: NodeJS.Timeout | null = null;
    const listeners: Entry["listeners"] = new Set();
    const look = (): void => {
      soon = null;
      entry.now = stands();
      for (const listener of [...listeners]) listener(entry.now);
    };
    const lookSoon = (): void => {
      soon ??= setTimeout(look, CHANGE_MS);
    };
    const stands = (): Standing | null => {
      const route = backend.route(name);
      if (route?.phase === "ready") return null;
      if (route !== null && route.phase !== "draining") {
        want = null;
        return route.phase === "failed" ? { kind: "refused", error: couldNotRun(route) } : loading(route);
      }
      const model = backend.known(name);
      if (model === null) return route === null ? { kind: "refused", error: unknownModel(backend, name) } : loading(route);
      if (want === null || want.isOver(performance.now())) {
        // Until the next try is decided the last one's outcome holds.
        refusedWith = want?.refusal?.message ?? null;
        want = wantLoad(backend, name, keepAliveSeconds, lookSoon);
      }
      return wanted(model, want.refusal, refusedWith);
    };
    const unsubscribe = backend.onChange(lookSoon);
    const tick = setInterval(look, TICK_MS);
    const end = (): void => {
      unsubscribe();
      clearInterval(tick);
      if (soon !== null) clearTimeout(soon);
    };
    const entry: Entry = { listeners, look, end, now: null };
    return entry;
  }

  function loading(route: Route): Standing {
    const { deployments, nodes } = backend.state();
    const view = deployments.find(
      (one) => sameModel(one.model, route.model) && one.head === route.head.id && one.state === route.phase,
    );
    const key = `${route.deployment}/${view?.epoch}`;
    const estimate = view === undefined ? null : estimates.of(key, view, nodes, performance.now());
    const why = route.reason === null ? "" : ` (${route.reason})`;
    const text = `${loadingText(route.phase, estimate)}${why}`;
    return { kind: "waiting", model: route.model, text, retryAfterSeconds: estimate?.retryAfterSeconds ?? retryAfterFor(0) };
  }

  function wanted(model: string, refusal: WantedLoad["refusal"], refusedWith: string | null): Standing {
    if (refusal !== null && refusal.code !== "model_not_ready") return { kind: "refused", error: refusal };
    const bytes = backend.state().models.find(({ id }) => sameModel(id, model))?.fileBytes ?? 0;
    const text = refusal?.message ?? refusedWith ?? "finding its place";
    return { kind: "waiting", model, text, retryAfterSeconds: retryAfterFor(bytes) };
  }

  return {
    watch(name, keepAliveSeconds, listener) {
      const key = name.trim().toLowerCase();
      const known = entries.get(key);
      const entry = known ?? begin(name, keepAliveSeconds);
      entries.set(key, entry);
      entry.listeners.add(listener);
      if (known === undefined) entry.look();
      else listener(entry.now);
      return {
        [Symbol.dispose]() {
          entry.listeners.delete(listener);
          if (entry.listeners.size > 0 || entries.get(key) !== entry) return;
          entries.delete(key);
          entry.end();
        },
      };
    },
  };
}

function couldNotRun({ model, reason }: Route): HttpRefusal {
  const why = reason === null ? "" : `: ${reason}`;
  return new HttpRefusal(503, "model_not_ready", `${model} could not be run${why}`, {
    param: "model",
    // Waiting does not help; OpenAI's clients try again on 503 unless told not to.
    headers: { "x-should-retry": "false" },
  });
}
