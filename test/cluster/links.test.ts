import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ClusterState, LinkView } from "../../packages/wire/src/index.ts";
import { startCluster, type Cluster } from "./harness/cluster.ts";
import { makeHosts } from "./harness/hosts.ts";

const MBIT = 125_000;
/** What a limit is spent on besides the bytes of a tunnel: frames, addresses, acknowledgements. */
const HEADERS_SHARE = 0.045;

const MEASURED_MS_MAX = 60_000;
const POLL_MS = 500;

const network = makeHosts(["a", "b", "c"]);
let cluster: Cluster;
let measured: ClusterState;

beforeAll(async () => {
  const [, b, c] = network.hosts;
  b?.link?.limit("100mbit");
  c?.link?.limit("20mbit", "5mbit");
  cluster = await startCluster(network.hosts, "links");
  const all = (state: ClusterState): boolean =>
    state.nodes.every((node) => node.links.filter((link) => link.bytesPerSecond > 0).length === network.hosts.length - 1);
  const deadline = performance.now() + MEASURED_MS_MAX;
  do measured = await cluster.head.peek();
  while (!all(measured) && performance.now() < deadline && (await sleep(POLL_MS, true)));
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  network[Symbol.dispose]();
});

function link(from: string, to: string): LinkView {
  const idOf = (name: string): string | undefined => measured.nodes.find((node) => node.name === name)?.id;
  const found = measured.nodes.find((node) => node.name === from)?.links.find((one) => one.to === idOf(to));
  if (found === undefined) throw new Error(`${from} knows no link to ${to}`);
  return found;
}

describe.skipIf(!network.isolated)("members measure their links in both directions, within 15 %", () => {
  test.each([
    ["a", "b", 100],
    ["b", "a", 100],
    ["a", "c", 20],
    ["c", "a", 5],
    ["b", "c", 20],
    ["c", "b", 5],
  ])("%s to %s: %d Mbit/s", (from, to, rate) => {
    const share = link(from, to).bytesPerSecond / (rate * MBIT * (1 - HEADERS_SHARE));
    expect(share).toBeGreaterThan(0.85);
    expect(share).toBeLessThan(1.15);
  });

  test("with the round trips, and when that was", () => {
    const { rttMs, rttMsMin, measuredAt } = link("a", "b");
    expect(rttMs).toBeGreaterThanOrEqual(rttMsMin ?? Infinity);
    expect(Math.abs(Date.now() - (measuredAt ?? 0))).toBeLessThan(300_000);
  });
});
