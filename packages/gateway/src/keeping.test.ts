import type { VerifyEvent } from "@clusterd/wire";
import { expect, test } from "vitest";
import { errorOf, gatewayFor, post } from "./testing/client.ts";
import { fakeBackend } from "./testing/fake-backend.ts";
import { wellBehaved } from "./testing/scripted-engine.ts";

const VERIFY = "/cluster/v1/verify";
const RM = "/cluster/v1/rm";

test("a model, or what is not needed of it, is deleted; anything else in the request is named", async () => {
  const backend = fakeBackend(wellBehaved([]));
  const gateway = gatewayFor(backend);
  expect(await (await post(gateway, RM, { model: "big" })).json()).toMatchObject({ model: "big", layers: null });
  expect(await (await post(gateway, RM, { model: "big", unused: true })).json()).toMatchObject({ model: "big", layers: "0-3" });
  expect(backend.calls).toEqual([
    ["rm", "big"],
    ["rm", "big", "unused"],
  ]);
  for (const [body, param] of [
    [{}, "model"],
    [{ model: "" }, "model"],
    [{ model: "big", unused: "yes" }, "unused"],
    [{ model: "big", force: true }, "force"],
  ] as const)
    expect(await errorOf(await post(gateway, RM, body))).toMatchObject({ status: 400, param });
});

test("verifying is told line by line; a model that is not here has a status", async () => {
  const backend = fakeBackend(wellBehaved([]));
  const gateway = gatewayFor(backend);
  const answer = await post(gateway, VERIFY, { model: "o/r", repair: false });
  expect(answer.headers.get("content-type")).toContain("application/x-ndjson");
  const lines = (await answer.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as VerifyEvent);
  expect(lines.map(({ event }) => event)).toEqual(["right", "done"]);
  await (await post(gateway, VERIFY, {})).text();
  expect(backend.calls).toEqual([
    ["verify", "o/r", false],
    ["verify", null, true],
  ]);
  expect(await errorOf(await post(gateway, VERIFY, { model: "nobody" }))).toMatchObject({ status: 404 });
  expect(await errorOf(await post(gateway, VERIFY, { repair: 1 }))).toMatchObject({ status: 400, param: "repair" });
});

test("who stops reading ends the verifying", async () => {
  const backend = fakeBackend(wellBehaved([]));
  let ended = false;
  async function* endless(): AsyncGenerator<VerifyEvent, void> {
    try {
      for (;;)
        yield {
          event: "progress",
          step: "reading",
          model: "m",
          path: "p",
          bytes: 1,
          totalBytes: 2,
          bytesPerSecond: 1,
          secondsLeft: 1,
        };
    } finally {
      ended = true;
    }
  }
  const gateway = gatewayFor({ ...backend, models: { ...backend.models, verify: endless } });
  const answer = await post(gateway, VERIFY, {});
  const reader = answer.body?.getReader();
  await reader?.read();
  await reader?.cancel();
  await expect.poll(() => ended).toBe(true);
});
