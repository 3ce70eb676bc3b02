import { expect, test } from "vitest";
import { CHAT, errorOf, gatewayFor, get, post } from "./testing/client.ts";
import { fakeBackend } from "./testing/fake-backend.ts";
import { streamAnswer, wellBehaved } from "./testing/scripted-engine.ts";

const CHAT_PATH = "/v1/chat/completions";
const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

test("a created key is taken in every form, until it is revoked", async () => {
  const backend = fakeBackend(wellBehaved(["x"]));
  const gateway = gatewayFor(backend, { apiKey: "home-key" });
  expect(await errorOf(await post(gateway, CHAT_PATH, CHAT, bearer("friend")))).toMatchObject({
    status: 401,
    code: "invalid_api_key",
  });
  backend.keys.add("friend");
  const basic = { authorization: `Basic ${Buffer.from("me:friend").toString("base64")}` };
  const beside = { "x-api-key": "dummy", ...bearer("friend") };
  for (const headers of [bearer("friend"), { "x-api-key": "friend" }, basic, beside])
    expect((await post(gateway, CHAT_PATH, CHAT, headers)).status, JSON.stringify(headers)).toBe(200);
  expect(backend.engineRequests.at(-1)?.caller).toBe("key:id-0");
  await backend.keys.revoke("friend");
  expect((await post(gateway, CHAT_PATH, CHAT, bearer("friend"))).status).toBe(401);
  expect(await errorOf(await post(gateway, CHAT_PATH, CHAT))).toMatchObject({ status: 401, type: "authentication_error" });
  expect((await post(gateway, CHAT_PATH, CHAT, bearer("home-key"))).status).toBe(200);
});

test("on loopback any key will do, but a known one keeps its limits", async () => {
  const backend = fakeBackend(wellBehaved(["x"]));
  const gateway = gatewayFor(backend);
  backend.keys.add("friend");
  expect((await post(gateway, CHAT_PATH, CHAT)).status).toBe(200);
  expect((await post(gateway, CHAT_PATH, CHAT, bearer("whatever"))).status).toBe(200);
  expect(backend.keys.taken).toEqual([]);
  backend.keys.setOver({ limit: "requests", max: 3, retryAfterSeconds: 17 });
  const answer = await post(gateway, CHAT_PATH, CHAT, bearer("friend"));
  expect(answer.headers.get("retry-after")).toBe("17");
  expect(await errorOf(answer)).toMatchObject({ status: 429, type: "rate_limit_error", code: "rate_limit_exceeded" });
  backend.keys.setOver({ limit: "tokens", max: 100, retryAfterSeconds: 3600 });
  expect(await errorOf(await post(gateway, CHAT_PATH, CHAT, bearer("friend")))).toMatchObject({
    status: 429,
    code: "insufficient_quota",
  });
  // Looking costs nothing, and those without this key are not concerned.
  expect((await get(gateway, "/v1/models", bearer("friend"))).status).toBe(200);
  expect((await post(gateway, CHAT_PATH, CHAT)).status).toBe(200);
  expect(backend.keys.taken).toEqual(["id-0", "id-0"]);
});

test("tokens are spent as the engine counts them", async () => {
  const backend = fakeBackend(wellBehaved(["a", "b", "c"]));
  const gateway = gatewayFor(backend);
  backend.keys.add("friend");
  const whole = (await (await post(gateway, CHAT_PATH, CHAT, bearer("friend"))).json()) as { usage: { total_tokens: number } };
  await (await post(gateway, CHAT_PATH, { ...CHAT, stream: true }, bearer("friend"))).text();
  expect(whole.usage.total_tokens).toBeGreaterThan(3);
  expect(backend.keys.spent.filter(([, tokens]) => tokens > 0)).toEqual([
    ["id-0", whole.usage.total_tokens],
    ["id-0", whole.usage.total_tokens],
  ]);
});

test("an answer that broke off is paid for as far as it came", async () => {
  const backend = fakeBackend(() => streamAnswer({ tokens: ["a", "b", "c"], ending: "reset" }));
  const gateway = gatewayFor(backend);
  backend.keys.add("friend");
  await (await post(gateway, CHAT_PATH, { ...CHAT, stream: true }, bearer("friend"))).text();
  await expect.poll(() => backend.keys.spent).toEqual([["id-0", 3]]);
});

test("a key for some models is refused others, by any of their names, before the engine is asked", async () => {
  const backend = fakeBackend(wellBehaved(["x"]));
  const gateway = gatewayFor(backend);
  backend.keys.add("other", { models: ["other-model"] });
  backend.keys.add("by-id", { models: ["DEMO-16L-q8_0"] });
  backend.aliases.lead("Quick", "demo-16l-q8_0");
  backend.keys.add("by-alias", { models: ["quick"] });
  // A model's other name, e.g. in the catalogue.
  backend.keys.add("by-name", { models: ["stable"] });
  for (const model of ["demo-16l-q8_0", "stable", "unknown"]) {
    const answer = await post(gateway, CHAT_PATH, { ...CHAT, model }, bearer("other"));
    expect(await errorOf(answer), model).toMatchObject({ status: 403, code: "model_not_allowed", param: "model" });
  }
  expect(backend.engineRequests).toHaveLength(0);
  const listed = async (key: string): Promise<number> =>
    ((await (await get(gateway, "/v1/models", bearer(key))).json()) as { data: readonly unknown[] }).data.length;
  expect([await listed("other"), await listed("by-id"), await listed("by-alias"), await listed("by-name")]).toEqual([0, 2, 1, 1]);
  expect((await post(gateway, CHAT_PATH, { ...CHAT, model: "quick" }, bearer("by-alias"))).status).toBe(200);
  expect((await post(gateway, CHAT_PATH, { ...CHAT, model: "quick" }, bearer("by-id"))).status).toBe(200);
  for (const model of ["stable", "demo-16l-q8_0"])
    expect((await post(gateway, CHAT_PATH, { ...CHAT, model }, bearer("by-name"))).status, model).toBe(200);
  expect((await post(gateway, CHAT_PATH, CHAT, bearer("by-alias"))).status).toBe(403);
  expect((await post(gateway, CHAT_PATH, CHAT, bearer("by-id"))).status).toBe(200);
  expect((await post(gateway, CHAT_PATH, { ...CHAT, model: "stable" }, bearer("by-id"))).status).toBe(200);
});

test("a key that may not control the cluster changes nothing of it", async () => {
  const backend = fakeBackend();
  const gateway = gatewayFor(backend, { apiKey: "home-key" });
  backend.keys.add("user");
  backend.keys.add("admin", { mayControl: true });
  const changes = [
    ["/cluster/v1/unload", { model: "m" }],
    ["/cluster/v1/drain", { node: "n" }],
    ["/cluster/v1/rotate", {}],
    ["/cluster/v1/leave", {}],
    ["/cluster/v1/keys/create", {}],
    ["/cluster/v1/keys/revoke", { key: "admin" }],
  ] as const;
  for (const [path, body] of changes)
    expect(await errorOf(await post(gateway, path, body, bearer("user"))), path).toMatchObject({
      status: 403,
      code: "control_not_allowed",
    });
  expect((await post(gateway, "/api/pull", { model: "m" }, bearer("user"))).status).toBe(403);
  for (const path of ["/cluster/v1/keys", "/cluster/v1/logs"])
    expect((await get(gateway, path, bearer("user"))).status, path).toBe(403);
  // However it is written.
  for (const path of [
    "/cluster/v1/%6beys",
    "/cluster/v1/x/../keys",
    "/cluster/v1/keys/",
    "//cluster/v1/keys",
    "/cluster//v1/keys",
  ])
    expect((await get(gateway, path, bearer("user"))).status, path).toBeGreaterThanOrEqual(403);
  for (const path of ["/cluster/v1/unloa%64", "/cluster/v1/plan/../unload", "/cluster/v1/unload/", "/cluster/v1/unload?x=/plan"])
    expect((await post(gateway, path, { model: "m" }, bearer("user"))).status, path).toBeGreaterThanOrEqual(403);
  expect(backend.calls).toEqual([]);
  for (const path of ["/cluster/v1/state", "/v1/models", "/metrics"])
    expect((await get(gateway, path, bearer("user"))).status, path).toBe(200);
  for (const key of ["admin", "home-key"]) {
    expect((await post(gateway, "/cluster/v1/unload", { model: "m" }, bearer(key))).status, key).toBe(200);
    expect((await get(gateway, "/cluster/v1/keys", bearer(key))).status, key).toBe(200);
  }
});

test("keys are made, listed and revoked over HTTP", async () => {
  const backend = fakeBackend();
  const gateway = gatewayFor(backend);
  const wish = { name: "phone", models: ["stable"], requestsPerMinute: 5, tokensPerDay: 1000, private: true };
  const made = await post(gateway, "/cluster/v1/keys/create", wish);
  expect(made.headers.get("cache-control")).toBe("no-store");
  const created = (await made.json()) as { key: string };
  expect(created).toMatchObject({ name: "phone", models: ["stable"], requestsPerMinute: 5, isPrivate: true, mayControl: false });
  const listed = (await (await get(gateway, "/cluster/v1/keys")).json()) as { keys: readonly unknown[] };
  expect(listed.keys).toMatchObject([{ name: "phone" }]);
  expect(JSON.stringify(listed)).not.toContain(created.key);
  for (const [bad, param] of [
    [{ name: "" }, "name"],
    [{ name: "a\u001b[31m" }, "name"],
    [{ name: "x".repeat(100) }, "name"],
    [{ models: [] }, "models"],
    [{ models: ["a\nb"] }, "models[0]"],
    [{ requestsPerMinute: 0 }, "requestsPerMinute"],
    [{ tokensPerDay: 1.5 }, "tokensPerDay"],
    [{ hash: "x" }, "hash"],
  ] as const)
    expect(await errorOf(await post(gateway, "/cluster/v1/keys/create", bad)), JSON.stringify(bad)).toMatchObject({
      status: 400,
      param,
    });
  expect((await post(gateway, "/cluster/v1/keys/revoke", { key: "phone" })).status).toBe(200);
  expect((await post(gateway, "/cluster/v1/keys/revoke", { key: "phone" })).status).toBe(404);
});
