import { asDeploymentId, asModelId, ClusterdError } from "@clusterd/wire";
import { expect, test, vi } from "vitest";
import type { Route } from "../backend.ts";
import { createLoadingBoard } from "../loading/loading-board.ts";
import { CHAT, errorOf, gatewayFor, get, post, readStream } from "../testing/client.ts";
import { fakeBackend, fakeRoute, type FakeBackend } from "../testing/fake-backend.ts";
import { wellBehaved } from "../testing/scripted-engine.ts";
import { readyRoute } from "./ready-route.ts";

const COLD = fakeRoute({ model: asModelId("cold"), deployment: asDeploymentId("d9"), phase: "loading" });
const ASK = { ...CHAT, model: "cold" };
const AT_ONCE = { waitingMs: 5, workingMs: 5, everyMs: 5 };

/** A backend that knows a model and begins to load it when asked. */
function coldBackend(want: () => Promise<Route | null> = async () => COLD): FakeBackend {
  const backend = fakeBackend(wellBehaved(["Hello", " there"]));
  backend.setKnown("cold", async () => {
    const route = await want();
    if (route !== null) backend.setRoutes(fakeRoute(), route);
    return route;
  });
  return backend;
}

/** It has begun to load, and then it is loaded. */
async function becomeReady(backend: FakeBackend): Promise<void> {
  await vi.waitFor(() => expect(backend.routes()).toContainEqual(COLD), { timeout: 5_000 });
  backend.setRoutes(fakeRoute(), { ...COLD, phase: "ready" });
}

const wants = (backend: FakeBackend): number => backend.calls.filter(([name]) => name === "want").length;
const refusedForNow = (): ClusterdError => new ClusterdError("model_not_ready", "cold waits for room beside warm, at work now.");

test("a cold model is listed as unloaded, and as loading once it is asked for", async () => {
  const backend = coldBackend();
  const model = { id: asModelId("cold"), contextMax: 4096, fileBytes: 5e9 };
  backend.setModels(model);
  const gateway = gatewayFor(backend);
  expect(await (await get(gateway, "/v1/models/Cold")).json()).toMatchObject({ id: "cold", clusterd: { state: "unloaded" } });
  const listed = (await (await get(gateway, "/v1/models")).json()) as { data: { id: string }[] };
  expect(listed.data.map(({ id }) => id)).toEqual(["demo-16l-q8_0", "cold"]);
  await post(gateway, "/v1/chat/completions", ASK, { prefer: "wait=0" });
  await vi.waitFor(async () => {
    expect(await (await get(gateway, "/v1/models/cold")).json()).toMatchObject({ clusterd: { state: "loading" } });
  });
  // What no node has stays unknown, and the refusal says what there is.
  backend.setRoutes();
  const none = await errorOf(await post(gateway, "/v1/chat/completions", { ...CHAT, model: "nobody has it" }));
  expect([none.status, none.message]).toEqual([404, expect.stringContaining("Loaded when asked for: cold.")]);
});

test("the impatient get 503 with how far it is and when to come back, and in the end their answer", async () => {
  const backend = coldBackend();
  const gateway = gatewayFor(backend);
  const first = await post(gateway, "/v1/chat/completions", ASK);
  expect(Number(first.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(await errorOf(first)).toMatchObject({
    status: 503,
    code: "model_not_ready",
    message: expect.stringMatching(/cold is loading \d+ %/),
  });
  await becomeReady(backend);
  expect((await post(gateway, "/v1/chat/completions", ASK)).status).toBe(200);
});

test("who prefers to wait is waited with", async () => {
  const backend = coldBackend();
  const answer = post(gatewayFor(backend), "/v1/chat/completions", ASK, { prefer: "wait=30" });
  await becomeReady(backend);
  expect((await answer).status).toBe(200);
});

test("a stream waits with signs of life, and then has its answer; an impatient one does not", async () => {
  const backend = coldBackend();
  const gateway = gatewayFor(backend, { patience: AT_ONCE });
  const response = await post(gateway, "/v1/chat/completions", { ...ASK, stream: true });
  expect(response.status).toBe(200);
  let text = "";
  for await (const bytes of response.body ?? []) {
    text += Buffer.from(bytes).toString();
    if (text.includes(": loading 87 %") && backend.route("cold")?.phase === "loading") await becomeReady(backend);
  }
  expect(await readStream(new Response(text))).toMatchObject({ done: true, error: null, text: "Hello there" });
  backend.setRoutes(COLD);
  expect((await post(gateway, "/v1/chat/completions", { ...ASK, stream: true }, { prefer: "wait=0" })).status).toBe(503);
});

test("all who want the same model share one load", async () => {
  const { promise, resolve } = Promise.withResolvers<Route>();
  const backend = coldBackend(() => promise);
  const gateway = gatewayFor(backend);
  const answers = Array.from({ length: 50 }, () => post(gateway, "/v1/chat/completions", ASK, { prefer: "wait=30" }));
  await vi.waitFor(() => expect(wants(backend)).toBe(1));
  resolve(COLD);
  await becomeReady(backend);
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(wants(backend)).toBe(1);
  // Nothing is looked after any more.
  expect(backend.listeners).toBe(0);
});

test("what does not fit is told with its numbers: as the status, or in a stream that has begun", async () => {
  const refuse = vi.fn<() => Promise<Route | null>>(async () => {
    throw new ClusterdError("does_not_fit", "cold does not fit: short by 6 GB.");
  });
  const backend = coldBackend(refuse);
  const refused = await post(gatewayFor(backend), "/v1/chat/completions", { ...ASK, stream: true });
  expect(await errorOf(refused)).toMatchObject({ status: 422, code: "does_not_fit", message: expect.stringContaining("6 GB") });
  refuse.mockImplementationOnce(async () => {
    await new Promise((done) => setTimeout(done, 100));
    throw new ClusterdError("does_not_fit", "cold does not fit: short by 6 GB.");
  });
  const begun = await post(gatewayFor(backend, { patience: AT_ONCE }), "/v1/chat/completions", { ...ASK, stream: true });
  expect(begun.status).toBe(200);
  expect(await readStream(begun)).toMatchObject({ done: false, error: { code: "does_not_fit" } });
});

test("what others' work stands in the way of is tried again, and told meanwhile", async () => {
  const tries = vi.fn<() => Promise<Route | null>>(async () => COLD).mockRejectedValueOnce(refusedForNow());
  const backend = coldBackend(tries);
  const gateway = gatewayFor(backend, { patience: AT_ONCE });
  const response = await post(gateway, "/v1/chat/completions", { ...ASK, stream: true });
  await vi.waitFor(() => expect(tries).toHaveBeenCalledTimes(2), { timeout: 5_000 });
  await becomeReady(backend);
  expect(await response.text()).toMatch(/^: cold waits for room beside warm[^]*\[DONE\]/m);
});

test("a client that goes is waited for no more", async () => {
  const backend = coldBackend();
  const client = new AbortController();
  const request = new Request("http://127.0.0.1:2573/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", prefer: "wait=600" },
    body: JSON.stringify(ASK),
    signal: client.signal,
  });
  const answer = gatewayFor(backend).fetch(request);
  await vi.waitFor(() => expect(backend.listeners).toBe(1));
  client.abort();
  await answer;
  expect(backend.listeners).toBe(0);
});

test("a request's own keep-alive reaches the load and what is loaded", async () => {
  const backend = coldBackend();
  const loading = createLoadingBoard(backend);
  const wishes = { signal: new AbortController().signal, stream: false, onWaiting: () => {}, waitSeconds: 30, loading };
  const route = readyRoute(backend, "cold", { ...wishes, keepAliveSeconds: 5 });
  await becomeReady(backend);
  expect((await route).deployment).toBe(COLD.deployment);
  await readyRoute(backend, "cold", wishes);
  expect(backend.calls).toEqual([
    ["want", "cold", 5],
    ["keepAlive", COLD.deployment, 5],
  ]);
});

test.each([
  [true, 200],
  [false, 503],
])("a deployment that goes before the request has its turn (loaded by a request: %s)", async (onDemand, status) => {
  const backend = coldBackend();
  backend.setRoutes({ ...COLD, phase: "ready", onDemand });
  const engine = wellBehaved(["Hello"]);
  backend.setEngine((request) => {
    if (wants(backend) > 0) return engine(request);
    backend.setRoutes();
    throw new ClusterdError("shards_unreachable", "This node does not run that deployment.");
  });
  const answer = post(gatewayFor(backend), "/v1/chat/completions", ASK, { prefer: "wait=30" });
  if (onDemand) await becomeReady(backend);
  // What a person took off is not loaded again for a request that was under way.
  expect([(await answer).status, wants(backend)]).toEqual([status, onDemand ? 1 : 0]);
});
