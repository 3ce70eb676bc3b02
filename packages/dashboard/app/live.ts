import { signal, type Signal } from "@preact/signals";
import type { ClusterState } from "@clusterd/wire";

/** The cluster's state as last told, and whether it is still being told. */
export const state: Signal<ClusterState | null> = signal(null);
export const isLive: Signal<boolean> = signal(true);

/** Follows the node's events; the browser opens a lost stream again by itself. */
export function follow(): void {
  const events = new EventSource("cluster/v1/events");
  events.addEventListener("state", (event) => {
    state.value = JSON.parse((event as MessageEvent<string>).data) as ClusterState;
    isLive.value = true;
  });
  events.addEventListener("error", () => {
    isLive.value = false;
  });
}

/** Lets a waiting machine in. Gives what to say about it. */
export async function approve(code: string): Promise<string> {
  const response = await fetch("cluster/v1/approve", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ code }),
  });
  const answer = (await response.json()) as { name?: string; error?: { message?: string } };
  return response.ok ? `${answer.name ?? "It"} is a member now.` : (answer.error?.message ?? "It could not be let in.");
}
