import type { Upstream } from "@clusterd/gateway";
import type { UpstreamView } from "@clusterd/wire";

/** What may be told of upstreams: neither keys nor addresses. */
export function upstreamViews(upstreams: readonly Upstream[]): readonly UpstreamView[] {
  return upstreams.map(({ name, models }) => ({ name, models: [...models.keys()] }));
}

/** Said at the start: requests may leave the cluster. */
export function tellUpstreams(upstreams: readonly Upstream[]): readonly string[] {
  return upstreamViews(upstreams).map(
    ({ name, models }) =>
      `where the cluster cannot serve ${models.join(", ")}, requests of this node LEAVE IT for the upstream ${name}`,
  );
}
