import { setTimeout as sleep } from "node:timers/promises";
import type { ClusterState } from "@clusterd/wire";
import type { Client } from "./client.ts";

const RECONNECT_MS = 500;

/** Every state of the cluster from now on. A stream that ends is opened again; a daemon that is gone throws `not_running`. */
export async function* watchState(client: Client, signal: AbortSignal): AsyncGenerator<ClusterState> {
  for (;;) {
    for await (const { event, data } of client.events("/cluster/v1/events", { signal })) {
      if (event === "state") yield JSON.parse(data) as ClusterState;
    }
    await sleep(RECONNECT_MS, undefined, { signal });
  }
}
