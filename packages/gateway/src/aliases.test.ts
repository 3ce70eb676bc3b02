import { asDeploymentId, asModelId } from "@clusterd/wire";
import { beforeEach, describe, expect, test } from "vitest";
import type { Gateway } from "./gateway.ts";
import { CHAT, errorOf, gatewayFor, get, post, readStream } from "./testing/client.ts";
import { fakeBackend, fakeRoute, type FakeBackend } from "./testing/fake-backend.ts";
import { wellBehaved } from "./testing/scripted-engine.ts";

let backend: FakeBackend;
let gateway: Gateway;
beforeEach(() => {
  backend = fakeBackend(wellBehaved(["yes"]));
  backend.setRoutes(fakeRoute(), fakeRoute({ model: asModelId("big"), deployment: asDeploymentId("d2") }));
  backend.aliases.lead("prod", "big");
  gateway = gatewayFor(backend);
});

interface Listed {
  readonly data: readonly { readonly id: string; readonly clusterd: Readonly<Record<string, unknown>> }[];
}

describe("aliases", () => {
  test("are listed beside the models, for clients that look for the name they are set to", async () => {
    const { data } = (await (await get(gateway, "/v1/models")).json()) as Listed;
    expect(data.map(({ id }) => id)).toEqual(["demo-16l-q8_0", "big", "prod"]);
    const one = (await (await get(gateway, "/v1/models/PROD")).json()) as Listed["data"][number];
    expect(one).toEqual(data[2]);
    expect(one.clusterd).toMatchObject({ alias_of: "big", canary: null, state: "ready" });
    // One that leads to what cannot be had is not offered.
    backend.aliases.lead("prod", "gone");
    expect(((await (await get(gateway, "/v1/models")).json()) as Listed).data).toHaveLength(2);
  });

  test("lead to a model, whose own name the answer bears", async () => {
    const answer = await post(gateway, "/v1/chat/completions", { ...CHAT, model: "prod", stream: true });
    expect(answer.headers.get("x-clusterd-model")).toBe("big");
    expect(await readStream(answer)).toMatchObject({ text: "yes", done: true });
  });

  test("are changed by one route", async () => {
    const canary = { model: "big", share: 0.1 };
    expect((await post(gateway, "/cluster/v1/aliases", { alias: "a", model: "m", canary })).status).toBe(200);
    for (const action of ["promote", "back"]) await post(gateway, "/cluster/v1/aliases", { alias: "a", action });
    expect(await (await post(gateway, "/cluster/v1/aliases", { alias: "a", action: "remove" })).json()).toEqual({
      alias: "a",
      removed: true,
    });
    expect(backend.aliases.changes).toEqual([
      { alias: "a", action: "set", model: "m", canary },
      { alias: "a", action: "promote" },
      { alias: "a", action: "back" },
      { alias: "a", action: "remove" },
    ]);
    expect(((await (await get(gateway, "/cluster/v1/aliases")).json()) as { aliases: unknown[] }).aliases).toHaveLength(1);
    expect((await get(gateway, "/cluster/v1/unload")).headers.get("allow")).toBe("POST");
  });

  test.each([
    [{}, "alias"],
    [{ alias: "a", action: "promote", model: "m" }, "model"],
    [{ alias: "a", action: "swap" }, "action"],
    [{ alias: "a", canary: { model: "m", share: 2 } }, "share"],
    [{ alias: "a", canary: { model: "m", share: 0 } }, "canary.share"],
    [{ alias: "a", canary: "m" }, "canary"],
    [{ alias: "a", extra: 1 }, "extra"],
  ])("%j is refused, and the field named", async (body, param) => {
    const response = await post(gateway, "/cluster/v1/aliases", body);
    expect(await errorOf(response)).toMatchObject({ status: 400, param });
    expect(backend.aliases.changes).toEqual([]);
  });
});
