import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { BODY_BYTES_MAX } from "./limits.ts";
import { startGateway, type RunningGateway, type ServerOptions } from "./server.ts";
import { CHAT } from "./testing/client.ts";
import { fakeBackend, type FakeBackend } from "./testing/fake-backend.ts";
import { completionAnswer, streamAnswer, wellBehaved } from "./testing/scripted-engine.ts";

function start(backend: FakeBackend, changes: Partial<ServerOptions> = {}): Promise<RunningGateway> {
  const none = { apiKey: null, assetsDir: null, allowedHosts: [], allowedOrigins: [] };
  return startGateway({ backend, host: "127.0.0.1", port: 0, ...none, ...changes });
}

async function ask(
  url: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<{ status: number; text: string; answer: IncomingMessage }> {
  const outgoing = httpRequest(url, { method: body === undefined ? "GET" : "POST", headers, agent: false });
  outgoing.end(body);
  const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, text: Buffer.concat(await answer.toArray()).toString(), answer };
}

async function dial(gateway: RunningGateway): Promise<Socket> {
  const socket = connect(gateway.port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** However it is closed: a cut may show as a reset. */
const closing = (socket: Socket): Promise<void> => new Promise((done) => void socket.once("close", () => done()));

function streamRequest(): string {
  const body = JSON.stringify({ ...CHAT, stream: true });
  return `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

const JSON_TYPE = { "content-type": "application/json" };

describe("over sockets", () => {
  test("answers and streams; the Host header decides", async () => {
    await using gateway = await start(fakeBackend(wellBehaved(["Hel", "lo"])));
    const chat = await ask(`${gateway.url}/v1/chat/completions`, JSON_TYPE, JSON.stringify({ ...CHAT, stream: true }));
    expect([chat.status, chat.text]).toEqual([200, await streamAnswer({ tokens: ["Hel", "lo"] }).text()]);
    expect((await ask(`${gateway.url}/health`)).status).toBe(200);
    for (const host of ["evil.com", "127.evil.com:2573", "127.0.0.1.evil.com"]) {
      expect((await ask(`${gateway.url}/cluster/v1/state`, { host })).status).toBe(403);
    }
    const socket = await dial(gateway);
    socket.end("GET http://evil.com/cluster/v1/state HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    expect(Buffer.concat(await socket.toArray()).toString()).toMatch(/^HTTP\/1\.1 403 /);
  });

  test("events come as they are made, not at the end", async () => {
    await using gateway = await start(fakeBackend(() => streamAnswer({ tokens: ["first"], ending: "hang" })));
    const socket = await dial(gateway);
    socket.write(streamRequest());
    let text = "";
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString();
    });
    await expect.poll(() => text).toContain('"content":"first"');
    socket.destroy();
  });

  test("a client that disconnects mid-stream, or while it waits, ends the engine's work", async () => {
    const backend = fakeBackend(() => streamAnswer({ tokens: ["a"], ending: "hang" }));
    const lines: string[] = [];
    await using gateway = await start(backend, { log: (line) => lines.push(line) });
    const streaming = await dial(gateway);
    streaming.write(streamRequest());
    await once(streaming, "data");
    expect(backend.engineRequests[0]?.signal.aborted).toBe(false);
    streaming.destroy();
    await expect.poll(() => backend.engineRequests[0]?.signal.aborted).toBe(true);

    backend.setEngine(
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        }),
    );
    const waiting = await dial(gateway);
    waiting.write(streamRequest());
    await expect.poll(() => backend.engineRequests.length).toBe(2);
    waiting.destroy();
    await expect.poll(() => backend.engineRequests[1]?.signal.aborted).toBe(true);
    await expect.poll(() => lines.filter((line) => line.includes("outcome=client_gone"))).toHaveLength(2);
  });

  test("a reader that takes nothing is cut, the engine's work ended; one that reads is served", async () => {
    const flood = Array.from({ length: 4_000 }, () => "x".repeat(8_000));
    const backend = fakeBackend(() => streamAnswer({ tokens: flood, ending: "hang" }));
    await using gateway = await start(backend);
    const idle = await dial(gateway);
    idle.pause();
    idle.write(streamRequest());
    await expect.poll(() => backend.engineRequests[0]?.signal.aborted, { timeout: 10_000 }).toBe(true);

    const busy = await dial(gateway);
    let bytes = 0;
    busy.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    busy.write(streamRequest());
    await expect.poll(() => bytes, { timeout: 10_000 }).toBeGreaterThan(4_000 * 8_000);
    expect(backend.engineRequests[1]?.signal.aborted).toBe(false);
    busy.destroy();
    idle.destroy();
  });

  test("an answer that is never taken does not keep its connection", async () => {
    const big = Array.from({ length: 12 }, () => "y".repeat(1024 * 1024));
    const backend = fakeBackend(() => completionAnswer(big));
    await using gateway = await start(backend, { timing: { readerStallMsMax: 300 } });
    const idle = await dial(gateway);
    idle.pause();
    const body = JSON.stringify({ model: "stable", prompt: "x" });
    idle.write(
      `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await expect.poll(() => backend.engineRequests.length).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    let bytes = 0;
    idle.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    idle.resume();
    await closing(idle);
    expect(bytes).toBeLessThan(big.join("").length);
  });
});

describe("hostile connections", () => {
  test("headers and bodies that drip are cut off; honest requests go on meanwhile", async () => {
    await using gateway = await start(fakeBackend(), { timing: { headersMsMax: 400, requestMsMax: 800 } });
    const open = await Promise.all(Array.from({ length: 50 }, () => dial(gateway)));
    const closed = open.map(closing);
    open.forEach((socket, at) => {
      const head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
      socket.write(at % 2 === 0 ? head : `${head}Content-Length: 1000\r\n\r\n{`);
      socket.resume();
    });
    const drip = setInterval(() => open.forEach((socket) => socket.writable && socket.write("x")), 100);
    expect((await ask(`${gateway.url}/health`)).status).toBe(200);
    await Promise.all(closed);
    clearInterval(drip);
    expect((await ask(`${gateway.url}/health`)).status).toBe(200);
  });

  test("a body that is too large is refused, announced or not, and the node goes on", async () => {
    await using gateway = await start(fakeBackend(wellBehaved(["x"])));
    const url = `${gateway.url}/v1/chat/completions`;
    const announced = await dial(gateway);
    announced.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${2 ** 30}\r\n\r\n`,
    );
    const [first] = (await once(announced, "data")) as [Buffer];
    expect(first.toString()).toMatch(/^HTTP\/1\.1 413 /);
    announced.destroy();

    const chunked = httpRequest(url, { method: "POST", headers: JSON_TYPE, agent: false });
    const outcome = once(chunked, "response") as Promise<[IncomingMessage]>;
    const block = Buffer.alloc(1024 * 1024, " ");
    for (let sent = 0; sent <= 2 * BODY_BYTES_MAX; sent += block.length) {
      if (chunked.write(block)) continue;
      const drained = once(chunked, "drain").then(() => false);
      if (await Promise.race([drained, outcome.then(() => true)])) break;
    }
    expect((await outcome)[0].statusCode).toBe(413);
    chunked.on("error", () => {});
    chunked.destroy();

    expect((await ask(url, { ...JSON_TYPE, "content-encoding": "gzip" }, "{}")).status).toBe(415);
    expect((await ask(url, JSON_TYPE, JSON.stringify(CHAT))).status).toBe(200);
  });

  test("headers beyond their limit are refused", async () => {
    await using gateway = await start(fakeBackend());
    expect((await ask(`${gateway.url}/health`, { "x-big": "a".repeat(1_000) })).status).toBe(200);
    expect((await ask(`${gateway.url}/health`, { "x-big": "a".repeat(17_000) })).status).toBe(431);
  });
});

describe("its life", () => {
  test("a port in use is an error that names the port, its holder and what to do", async () => {
    await using first = await start(fakeBackend());
    await expect(start(fakeBackend(), { port: first.port })).rejects.toMatchObject({
      code: "port_in_use",
      message: expect.stringMatching(new RegExp(`${first.port}.*clusterd daemon of node "mini-1"`)),
      next: expect.stringContaining("--api-port"),
    });
  });

  test("a foreign address is an error", async () => {
    await expect(start(fakeBackend(), { host: "192.0.2.1" })).rejects.toMatchObject({
      code: "usage",
      next: expect.stringContaining("--api-host"),
    });
  });

  test("closing tells open streams, lets go of the port and of the state", async () => {
    const backend = fakeBackend(() => streamAnswer({ tokens: ["a"], ending: "hang" }));
    const stop = new AbortController();
    const gateway = await start(backend, { signal: stop.signal });
    const chat = await dial(gateway);
    chat.write(streamRequest());
    await once(chat, "data");
    const events = await dial(gateway);
    events.write("GET /cluster/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(events, "data");
    expect(backend.listeners).toBe(1);

    const rest = chat.toArray() as Promise<Buffer[]>;
    const ended = once(events.resume(), "close");
    stop.abort();
    await gateway[Symbol.asyncDispose]();
    expect(Buffer.concat(await rest).toString()).toContain('"code":"interrupted"');
    await ended;
    expect(backend.listeners).toBe(0);
    await using again = await start(fakeBackend(), { port: gateway.port });
    expect(again.port).toBe(gateway.port);
  });
});
