import { asDeploymentId, asModelId } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import type { Gateway } from "./gateway.ts";
import { BASE, CHAT, errorOf, gatewayFor, get, post } from "./testing/client.ts";
import { WAITING_PHASES, fakeBackend, fakeRoute } from "./testing/fake-backend.ts";
import { wellBehaved } from "./testing/scripted-engine.ts";

const HF = fakeRoute({ model: asModelId("Qwen/Qwen3-8B-GGUF:Q4_K_M"), deployment: asDeploymentId("d2") });

describe("models", () => {
  test("are listed, once each, failed ones not", async () => {
    const backend = fakeBackend();
    backend.setRoutes(
      fakeRoute(),
      HF,
      fakeRoute({ phase: "loading" }),
      fakeRoute({ model: asModelId("broken"), phase: "failed" }),
    );
    const { data } = (await (await get(gatewayFor(backend), "/v1/models")).json()) as {
      data: { id: string; clusterd: { state: string } }[];
    };
    expect(data.map(({ id, clusterd }) => `${id} ${clusterd.state}`)).toEqual([
      "demo-16l-q8_0 ready",
      "Qwen/Qwen3-8B-GGUF:Q4_K_M ready",
    ]);
  });

  test.each(["Qwen/Qwen3-8B-GGUF:Q4_K_M", "qwen%2Fqwen3-8b-gguf%3Aq4_k_m"])(
    "one by its id, slashes and colons in it: %s",
    async (path) => {
      const backend = fakeBackend();
      backend.setRoutes(fakeRoute(), HF);
      const response = await get(gatewayFor(backend), `/v1/models/${path}`);
      expect(await response.json()).toMatchObject({
        id: HF.model,
        object: "model",
        owned_by: "clusterd",
        created: 1_700_000_000,
      });
    },
  );

  test("one there is not: 404 with those there are", async () => {
    const gateway = gatewayFor(fakeBackend());
    for (const response of [
      await get(gateway, "/v1/models/gpt-5"),
      await post(gateway, "/v1/chat/completions", { ...CHAT, model: "gpt-5" }),
    ]) {
      const error = await errorOf(response);
      expect(error).toMatchObject({ status: 404, code: "model_not_found", param: "model", type: "invalid_request_error" });
      expect(error.message).toMatch(/gpt-5.*demo-16l-q8_0/);
    }
  });

  test.each(WAITING_PHASES)("one that is %s: 503 with progress and when to come back", async (phase) => {
    const backend = fakeBackend();
    backend.setRoutes(fakeRoute({ phase, reason: "mini-2 reads its layers" }));
    const response = await post(gatewayFor(backend), "/v1/chat/completions", CHAT, { prefer: "wait=0" });
    expect(response.headers.get("retry-after")).toBe("3");
    const error = await errorOf(response);
    expect(error).toMatchObject({ status: 503, code: "model_not_ready", param: "model" });
    const progress = phase === "planning" ? "" : " 87 %";
    expect(error.message).toContain(`is ${phase}${progress} (mini-2 reads its layers). Try again in 3 s.`);
    expect(backend.engineRequests).toHaveLength(0);
  });

  test("one that failed: 503 with the reason, and no word of coming back", async () => {
    const backend = fakeBackend();
    backend.setRoutes(fakeRoute({ phase: "failed", reason: "llama-server crashed 3 times" }));
    const response = await post(gatewayFor(backend), "/v1/chat/completions", CHAT);
    expect([response.headers.get("retry-after"), response.headers.get("x-should-retry")]).toEqual([null, "false"]);
    expect(await errorOf(response)).toMatchObject({
      status: 503,
      message: expect.stringContaining("llama-server crashed 3 times"),
    });
  });

  test("embeddings of a chat model: 501", async () => {
    const gateway = gatewayFor(fakeBackend());
    expect(await errorOf(await post(gateway, "/v1/embeddings", { model: "stable", input: "x" }))).toMatchObject({
      status: 501,
      code: "unsupported",
    });
    expect(await errorOf(await post(gateway, "/v1/embeddings", { model: "none", input: "x" }))).toMatchObject({ status: 404 });
  });
});

describe("what there is not", () => {
  test("has the error shape, and names the method that would do", async () => {
    const gateway = gatewayFor(fakeBackend());
    for (const path of ["/v1/files", "/v1/assistants", "/v1/nothing"]) {
      expect(await errorOf(await post(gateway, path, {}))).toMatchObject({ status: 404, code: "not_found", param: null });
    }
    const wrong = await get(gateway, "/v1/chat/completions");
    expect(wrong.headers.get("allow")).toBe("POST");
    expect(await errorOf(wrong)).toMatchObject({ status: 405, code: "method_not_allowed" });
    expect((await post(gateway, "/cluster/v1/state", {})).status).toBe(405);
  });

  test("every refusal bears the node's headers", async () => {
    const response = await get(gatewayFor(fakeBackend()), "/v1/nothing", { "x-request-id": "mine" });
    expect(response.headers.get("x-clusterd-node")).toBe("mini-1");
    expect(response.headers.get("x-request-id")).toBe("mine");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  });
});

/** One request of every kind of route. */
const ROUTES: readonly (readonly ["GET" | "POST", string])[] = [
  ["GET", "/"],
  ["GET", "/assets/x.js"],
  ["GET", "/metrics"],
  ["GET", "/v1/models"],
  ["GET", "/v1/models/stable"],
  ["POST", "/v1/chat/completions"],
  ["POST", "/v1/completions"],
  ["POST", "/v1/embeddings"],
  ["GET", "/cluster/v1/state"],
  ["GET", "/cluster/v1/events"],
  ["GET", "/cluster/v1/logs"],
  ["POST", "/cluster/v1/plan"],
  ["POST", "/cluster/v1/load"],
  ["POST", "/cluster/v1/unload"],
  ["POST", "/cluster/v1/approve"],
  ["POST", "/cluster/v1/remove"],
  ["POST", "/cluster/v1/drain"],
  ["POST", "/cluster/v1/rotate"],
  ["POST", "/cluster/v1/leave"],
];

async function call(
  gateway: Gateway,
  [method, path]: readonly [string, string],
  headers: Record<string, string>,
  base = BASE,
): Promise<Response> {
  const json = { "content-type": "application/json", ...headers };
  const response = await gateway.fetch(
    new Request(base + path, method === "GET" ? { headers } : { method, headers: json, body: "{}" }),
  );
  if (response.headers.get("content-type")?.startsWith("text/event-stream") === true) await response.body?.cancel();
  return response;
}

function basic(text: string): string {
  return `Basic ${Buffer.from(text).toString("base64")}`;
}

describe.each(ROUTES)("%s %s", (...route) => {
  test("is closed to other hosts, open to its own", async () => {
    const gateway = gatewayFor(fakeBackend(wellBehaved(["x"])), { allowedHosts: ["mini-1.local"] });
    for (const host of ["evil.com", "127.evil.com", "127.0.0.1.nip.io"]) {
      expect((await call(gateway, route, { host })).status).toBe(403);
      expect((await call(gateway, route, {}, `http://${host}:2573`)).status).toBe(403);
    }
    for (const host of ["localhost:2573", "mini-1.local:2573"])
      expect((await call(gateway, route, { host })).status).not.toBe(403);
  });

  test("is closed to other origins, open to its own and listed ones", async () => {
    const gateway = gatewayFor(fakeBackend(wellBehaved(["x"])), { allowedOrigins: ["https://chat.example"] });
    for (const origin of ["https://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1.evil.example:2573"]) {
      const refused = await call(gateway, route, { origin });
      expect(refused.status).toBe(403);
      expect(refused.headers.get("access-control-allow-origin")).toBeNull();
    }
    const own = await call(gateway, route, { origin: BASE });
    expect(own.status).not.toBe(403);
    expect(own.headers.get("access-control-allow-origin")).toBeNull();
    const listed = await call(gateway, route, { origin: "https://chat.example" });
    expect(listed.status).not.toBe(403);
    expect(listed.headers.get("access-control-allow-origin")).toBe("https://chat.example");
  });

  test("needs the key where one is set", async () => {
    const gateway = gatewayFor(fakeBackend(wellBehaved(["x"])), { apiKey: "right" });
    const wrong = [
      {},
      { authorization: "Bearer wrong" },
      { authorization: "right" },
      { "x-api-key": "" },
      { authorization: basic("right:") },
    ];
    for (const headers of wrong) {
      const response = await call(gateway, route, headers);
      expect(response.headers.get("www-authenticate")).toMatch(/^(Bearer|Basic )/);
      expect(await errorOf(response)).toMatchObject({ status: 401, type: "authentication_error", code: "invalid_api_key" });
    }
    for (const headers of [{ authorization: "Bearer right" }, { "x-api-key": "right" }, { authorization: basic("me:right") }]) {
      expect((await call(gateway, route, headers)).status).not.toBe(401);
    }
  });

  test("takes JSON only, where it takes anything", async () => {
    if (route[0] === "GET") return;
    const gateway = gatewayFor(fakeBackend(wellBehaved(["x"])));
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
      expect((await call(gateway, route, { "content-type": type })).status).toBe(415);
    }
    expect((await call(gateway, route, {})).status).not.toBe(415);
  });
});

test("health needs no key", async () => {
  const response = await get(gatewayFor(fakeBackend(), { apiKey: "right" }), "/health");
  expect(await response.json()).toEqual({ status: "ok", node: "mini-1" });
});

test("a cross-site form is refused even without an origin; a link to the page is not", async () => {
  const gateway = gatewayFor(fakeBackend());
  const headers = { "sec-fetch-site": "cross-site" };
  expect((await call(gateway, ["POST", "/cluster/v1/leave"], headers)).status).toBe(403);
  expect((await call(gateway, ["GET", "/"], headers)).status).toBe(200);
});

test("preflights are answered for listed origins alone, without a key", async () => {
  const gateway = gatewayFor(fakeBackend(), { apiKey: "right", allowedOrigins: ["https://chat.example"] });
  const ask = async (origin: string): Promise<Response> =>
    gateway.fetch(
      new Request(`${BASE}/v1/chat/completions`, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-headers": "authorization,x-stainless-os" },
      }),
    );
  const listed = await ask("https://chat.example");
  expect(listed.status).toBe(204);
  expect(listed.headers.get("access-control-allow-headers")).toBe("authorization,x-stainless-os");
  expect(listed.headers.get("access-control-allow-origin")).toBe("https://chat.example");
  expect((await ask("https://evil.example")).status).toBe(403);
});

describe("the cluster's routes", () => {
  test("pass on what was asked, and answer with what came of it", async () => {
    const backend = fakeBackend();
    const gateway = gatewayFor(backend);
    const answers = [
      await post(gateway, "/cluster/v1/unload", { model: "demo" }),
      await post(gateway, "/cluster/v1/approve", { code: "AB-12" }),
      await post(gateway, "/cluster/v1/remove", { node: "pi" }),
      await post(gateway, "/cluster/v1/drain", { node: "pi", on: false }),
      await post(gateway, "/cluster/v1/rotate", ""),
      await post(gateway, "/cluster/v1/leave", {}),
      await get(gateway, "/cluster/v1/logs?lines=1"),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200, 200]);
    expect(backend.calls).toEqual([
      ["unload", "demo"],
      ["approve", "AB-12"],
      ["remove", "pi"],
      ["drain", "pi", false],
      ["rotate"],
      ["leave"],
      ["logs", 1],
    ]);
    expect(await answers[6]?.json()).toEqual({ lines: ["one"] });
  });

  test("the state as it is", async () => {
    const backend = fakeBackend();
    expect(await (await get(gatewayFor(backend), "/cluster/v1/state")).json()).toEqual(backend.state());
  });

  test("a plan that cannot be is an answer; a load that cannot be is an error with its numbers", async () => {
    const gateway = gatewayFor(fakeBackend());
    const plan = await post(gateway, "/cluster/v1/plan", { model: "demo", pin: ["pi=0-3"] });
    expect([plan.status, await plan.json()]).toEqual([200, expect.objectContaining({ feasible: false, shortByBytes: 6 })]);
    expect(await errorOf(await post(gateway, "/cluster/v1/load", { model: "demo" }))).toMatchObject({
      status: 422,
      code: "does_not_fit",
      details: { shortByBytes: 6 },
    });
  });

  test.each(["0", "-1", "x", "1e3", "99999999"])("?lines=%s is refused", async (lines) => {
    expect(await errorOf(await get(gatewayFor(fakeBackend()), `/cluster/v1/logs?lines=${lines}`))).toMatchObject({
      status: 400,
      param: "lines",
    });
  });
});

test("names that headers cannot hold are escaped", async () => {
  const backend = fakeBackend(wellBehaved(["x"]));
  backend.setRoutes(fakeRoute({ model: asModelId("modèle 1\n") }));
  const response = await post(gatewayFor(backend), "/v1/chat/completions", { ...CHAT, model: "modèle 1\n" });
  expect(response.headers.get("x-clusterd-model")).toBe("mod%C3%A8le%201%0A");
});
