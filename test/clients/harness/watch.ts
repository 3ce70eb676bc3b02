import { expect, inject } from "vitest";
import type { ClusterState } from "../../../packages/wire/src/index.ts";

/** Requests that the asked node counts as left by their clients. */
async function left(): Promise<number> {
  const text = await (await fetch(`${inject("url")}/metrics`)).text();
  const counts = text.matchAll(/^clusterd_requests_total\{.*outcome="client_gone".*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Requests that have or await a turn at an engine, by the asked node's knowledge. */
async function atWork(): Promise<number> {
  const state = (await (await fetch(`${inject("url")}/cluster/v1/state`)).json()) as ClusterState;
  return state.deployments.reduce((sum, { queue }) => sum + queue.active + queue.waiting, 0);
}

/** Whether what `leave` begins and leaves ends as that, and nothing of it stays at work. */
export async function expectFreed(leave: () => Promise<unknown>): Promise<void> {
  const before = await left();
  await leave();
  await expect.poll(left).toBe(before + 1);
  await expect.poll(atWork).toBe(0);
}
