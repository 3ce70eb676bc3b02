import { expect, inject } from "vitest";
import type { ClusterState } from "../../../packages/wire/src/index.ts";

/** Requests that by the asked node's count ended so: their clients have left, or they could not be served. */
export async function endedAs(outcome: "client_gone" | "failed"): Promise<number> {
  const text = await (await fetch(`${inject("url")}/metrics`)).text();
  const counts = [...text.matchAll(/^clusterd_requests_total\{(.*)\} (\d+)$/gm)];
  return counts.reduce(
    (sum, [, labels, count]) => sum + (labels?.includes(`outcome="${outcome}"`) === true ? Number(count) : 0),
    0,
  );
}

/** Requests that have or await a turn at an engine, by the asked node's knowledge. */
async function atWork(): Promise<number> {
  const state = (await (await fetch(`${inject("url")}/cluster/v1/state`)).json()) as ClusterState;
  return state.deployments.reduce((sum, { queue }) => sum + queue.active + queue.waiting, 0);
}

/** Whether what `leave` begins and leaves ends as that, and nothing of it stays at work. */
export async function expectFreed(leave: () => Promise<unknown>): Promise<void> {
  const before = await endedAs("client_gone");
  await leave();
  await expect.poll(() => endedAs("client_gone")).toBe(before + 1);
  await expect.poll(atWork).toBe(0);
}
