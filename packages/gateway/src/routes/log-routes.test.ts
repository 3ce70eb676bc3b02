import type { LogEvent } from "@clusterd/wire";
import { expect, test } from "vitest";
import { errorOf, gatewayFor, get } from "../testing/client.ts";
import { fakeBackend } from "../testing/fake-backend.ts";

const LOGS = "/cluster/v1/logs";

test("a member's last lines are asked of that member; who it is not has a status", async () => {
  const backend = fakeBackend();
  const gateway = gatewayFor(backend);
  expect(await (await get(gateway, `${LOGS}?lines=1&node=pi`)).json()).toEqual({ lines: ["one"] });
  expect(backend.calls).toEqual([["logs", 1, "pi"]]);
  expect(await errorOf(await get(gateway, `${LOGS}?node=nobody`))).toMatchObject({ status: 404 });
  expect(await errorOf(await get(gateway, `${LOGS}?node=`))).toMatchObject({ status: 400, param: "node" });
  expect(await errorOf(await get(gateway, `${LOGS}?node=${"x".repeat(4_097)}`))).toMatchObject({ status: 400, param: "node" });
});

test("a log is followed line by line until the node is gone", async () => {
  const gateway = gatewayFor(fakeBackend());
  const answer = await get(gateway, `${LOGS}?follow=1&node=gone&lines=5`);
  expect(answer.headers.get("content-type")).toContain("application/x-ndjson");
  const events = (await answer.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as LogEvent);
  expect(events).toEqual([
    { event: "lines", lines: ["one"], missed: 0 },
    { event: "failed", error: { code: "shards_unreachable", message: "gone is gone.", next: null } },
  ]);
  expect(await errorOf(await get(gateway, `${LOGS}?follow=1&node=nobody`))).toMatchObject({ status: 404 });
});

test("a reader that goes ends the following at once", async () => {
  const backend = fakeBackend();
  const reader = (await get(gatewayFor(backend), `${LOGS}?follow=1`)).body?.getReader();
  await reader?.read();
  expect(backend.calls).toEqual([["follow logs", null, 200]]);
  await reader?.cancel();
  await expect.poll(() => backend.calls).toContainEqual(["followed"]);
});
