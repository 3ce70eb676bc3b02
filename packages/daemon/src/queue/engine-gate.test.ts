import { once } from "node:events";
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { EngineRequest } from "@clusterd/gateway";
import { asDeploymentId, asNodeId, ClusterdError } from "@clusterd/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fetchEngine } from "../gateway/engine-client.ts";
import { createEngineGate } from "./engine-gate.ts";
import type { HeadQueues } from "./head-queues.ts";
import { passGate, type PassOptions } from "./pass-gate.ts";
import { createTurnQueue, type TurnQueue, type TurnRequest } from "./turn-queue.ts";

const DEPLOYMENT = asDeploymentId("d1");
const MEMBER = asNodeId("12D3KooWmember");

/** An engine that answers what it was asked, or never; and the gate before it, on ports of their own. */
let engine: HttpServer;
let hanging: Set<string>;
let engineSockets: Set<Socket>;
let gate: Server;
let queue: TurnQueue;
let callers: string[];
let up: boolean;

const portOf = (server: Server | HttpServer): number => (server.address() as AddressInfo).port;

beforeEach(async () => {
  hanging = new Set(["/hang"]);
  engineSockets = new Set();
  callers = [];
  up = true;
  engine = createHttpServer((request, response) => {
    if (!hanging.has(request.url ?? "")) response.end(`${request.headers.authorization} ${request.url}`);
  });
  engine.on("connection", (socket) => {
    engineSockets.add(socket);
    socket.once("close", () => engineSockets.delete(socket));
  });
  queue = createTurnQueue({ slots: 1, waitingMax: 4, onChange: () => undefined });
  const queues: HeadQueues = {
    enter(_, request: TurnRequest) {
      callers.push(request.caller);
      return queue.enter(request);
    },
    workOf: () => 0,
    entriesOf: () => 0,
    retryAfterSeconds: () => queue.retryAfterSeconds,
    [Symbol.dispose]: () => undefined,
  };
  const engineOf = (): { port: number; apiKey: string } | null => (up ? { port: portOf(engine), apiKey: "sesame" } : null);
  const pass = createEngineGate({ queues, engineOf });
  gate = createServer({ allowHalfOpen: true }, (socket) => void pass(MEMBER, DEPLOYMENT, socket));
  for (const server of [engine, gate]) await once(server.listen(0, "127.0.0.1"), "listening");
});

afterEach(async () => {
  queue[Symbol.dispose]();
  engine.closeAllConnections();
  await Promise.all([engine, gate].map((server) => new Promise((done) => void server.close(done))));
});

async function dial(): Promise<Socket> {
  const socket = connect({ port: portOf(gate), host: "127.0.0.1" });
  await once(socket, "connect");
  return socket;
}

interface Asked {
  readonly positions: number[];
  readonly abort: AbortController;
  readonly answer: Promise<string>;
}

function ask(path: string, more: Partial<PassOptions> = {}): Asked {
  const abort = new AbortController();
  const positions: number[] = [];
  const { signal } = abort;
  const run = async (): Promise<string> => {
    const socket = await dial();
    const onPosition = (position: number): void => void positions.push(position);
    const apiKey = await passGate(socket, { caller: "key:1", path, more: false, signal, onPosition, ...more });
    const request: EngineRequest = { method: "GET", path, body: null, signal, caller: "key:1" };
    const response = await fetchEngine({ apiKey, socket }, request, async () => new ClusterdError("engine_crashed", "broke"));
    return response.text();
  };
  const answer = run();
  answer.catch(() => undefined);
  return { positions, abort, answer };
}

describe("a request at the gate", () => {
  test("is led to the engine with its key, one at a time; who waits is told its place", async () => {
    const first = ask("/hang");
    await expect.poll(() => queue.figures.active).toBe(1);
    const second = ask("/v1/completions");
    await expect.poll(() => second.positions).toEqual([1]);
    first.abort.abort(new Error("gone"));
    expect(await second.answer).toBe("Bearer sesame /v1/completions");
    await expect(first.answer).rejects.toThrow();
    expect([first.positions, second.positions]).toEqual([[0], [1, 0]]);
    expect(callers).toEqual([`${MEMBER}/key:1`, `${MEMBER}/key:1`]);
    await expect.poll(() => [queue.figures.active, engineSockets.size]).toEqual([0, 0]);
  });

  test("that needs no slot waits for nothing", async () => {
    const first = ask("/hang");
    await expect.poll(() => queue.figures.active).toBe(1);
    expect(await ask("/tokenize?x=1").answer).toBe("Bearer sesame /tokenize?x=1");
    expect(callers).toHaveLength(1);
    first.abort.abort();
  });

  test("that is given up while it waits leaves the queue, and while it is worked on its turn", async () => {
    const first = ask("/hang");
    await expect.poll(() => queue.figures.active).toBe(1);
    const second = ask("/v1/completions");
    await expect.poll(() => queue.figures.waiting).toBe(1);
    second.abort.abort(new Error("gone"));
    await expect(second.answer).rejects.toThrow("gone");
    await expect.poll(() => queue.figures.waiting).toBe(0);
    first.abort.abort();
    await expect.poll(() => [queue.figures.active, engineSockets.size]).toEqual([0, 0]);
  });

  test("is told by whom it is refused, and when to come back", async () => {
    const asked = [ask("/hang"), ask("/hang"), ask("/hang")];
    await expect.poll(() => queue.figures).toMatchObject({ active: 1, waiting: 2 });
    await expect(ask("/hang").answer).rejects.toMatchObject({ code: "queue_full", details: { retryAfterSeconds: 2 } });
    queue.refuseAll(new ClusterdError("shards_unreachable", "over", { next: "Ask another." }));
    await expect(asked[1]?.answer).rejects.toMatchObject({ code: "shards_unreachable", message: "over", next: "Ask another." });
    asked[0]?.abort.abort();
    up = false;
    await expect(ask("/v1/completions").answer).rejects.toMatchObject({ code: "shards_unreachable" });
    await expect.poll(() => queue.figures).toMatchObject({ active: 0, waiting: 0 });
  });
});

describe("what is no request", () => {
  test.each([
    ["no line", "x".repeat(5_000)],
    ["no JSON", "hello\n"],
    ["no caller", '{"path":"/health"}\n'],
  ])("%s: the connection is closed and nothing queued", async (_, text) => {
    const socket = await dial();
    socket.on("error", () => undefined);
    socket.write(text);
    socket.resume();
    await once(socket, "close");
    expect(callers).toEqual([]);
    expect(await ask("/health").answer).toBe("Bearer sesame /health");
  });

  test("what comes before the gate is open ends the connection, and its place in the queue", async () => {
    const first = ask("/hang");
    await expect.poll(() => queue.figures.active).toBe(1);
    const socket = await dial();
    socket.on("error", () => undefined);
    socket.resume();
    socket.write('{"caller":"x","path":"/hang"}\n');
    await expect.poll(() => queue.figures.waiting).toBe(1);
    socket.write("GET /hang HTTP/1.1\r\n\r\n");
    await once(socket, "close");
    await expect.poll(() => queue.figures.waiting).toBe(0);
    first.abort.abort();
  });
});
