import type { Backend, Route } from "../backend.ts";
import type { ReadyOptions } from "../relay/generation.ts";
import { checkReady } from "../routes/model-routes.ts";

/** The deployment, once it answers; rejects where it will not, or where the request cannot wait for it. */
export async function readyRoute(backend: Backend, route: Route, _options: ReadyOptions): Promise<Route> {
  checkReady(backend, route);
  return route;
}
