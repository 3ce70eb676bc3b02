import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BODY_BYTES_MAX, LINGER_BYTES_MAX, URL_LENGTH_MAX } from "./limits.ts";
import { startGateway, type RunningGateway, type ServerOptions } from "./server.ts";
import { CHAT } from "./testing/client.ts";
import { fakeBackend, type FakeBackend } from "./testing/fake-backend.ts";
import { wellBehaved } from "./testing/scripted-engine.ts";

function start(backend: FakeBackend, changes: Partial<ServerOptions> = {}): Promise<RunningGateway> {
  const none = { apiKey: null, assetsDir: null, allowedHosts: [], allowedOrigins: [] };
  return startGateway({ backend, host: "127.0.0.1", port: 0, ...none, ...changes });
}

let gateway: RunningGateway;

beforeAll(async () => {
  gateway = await start(fakeBackend(wellBehaved(["x"])));
});
afterAll(() => gateway[Symbol.asyncDispose]());

async function dial(to: RunningGateway = gateway): Promise<Socket> {
  const socket = connect({ port: to.port, host: "127.0.0.1" });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

const BODY = JSON.stringify(CHAT);
const HEADERS = ["Host: localhost", "Content-Type: application/json"];

/** What a connection is answered, to its end. */
async function raw(lines: readonly string[], body = ""): Promise<string> {
  const socket = await dial();
  let text = "";
  socket.on("data", (bytes: Buffer) => {
    text += bytes.toString();
  });
  const closed = once(socket, "close");
  socket.write(`${lines.join("\r\n")}\r\n\r\n${body}`);
  await closed;
  return text;
}

/** The statuses on a connection, in order. */
async function statuses(lines: readonly string[], body = ""): Promise<number[]> {
  return [...(await raw(lines, body)).matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

const CLOSE = "Connection: close";

describe("requests that are bent", () => {
  const chat = ["POST /v1/chat/completions HTTP/1.1", ...HEADERS, `Content-Length: ${BODY.length}`, CLOSE];
  test.each<[string, number[], readonly string[], string?]>([
    ["a straight one", [200], chat, BODY],
    ["two Host headers", [400], ["GET /health HTTP/1.1", "Host: localhost", "Host: evil.com", CLOSE]],
    ["no Host header", [400], ["GET /health HTTP/1.1", CLOSE]],
    ["HTTP/1.0 with a Host header", [200], ["GET /health HTTP/1.0", "Host: localhost"]],
    ["HTTP/1.0 without one", [400], ["GET /health HTTP/1.0"]],
    ["a target with this host in it", [200], ["GET http://localhost/health HTTP/1.1", "Host: localhost", CLOSE]],
    ["a target with another host in it", [403], ["GET http://evil.com/health HTTP/1.1", "Host: localhost", CLOSE]],
    ["a long target", [200], [`GET /health?${"x".repeat(URL_LENGTH_MAX - 20)} HTTP/1.1`, "Host: localhost", CLOSE]],
    ["a target that is too long", [414], [`GET /health?${"x".repeat(URL_LENGTH_MAX)} HTTP/1.1`, "Host: localhost", CLOSE]],
    ["a header that goes on on the next line", [400], ["GET /health HTTP/1.1", "Host: localhost", "X-A: b", " c", CLOSE]],
    [
      "a length and chunks",
      [400],
      ["POST /v1/chat/completions HTTP/1.1", ...HEADERS, "Content-Length: 5", "Transfer-Encoding: chunked", CLOSE],
      "0\r\n\r\n",
    ],
    ["two lengths", [400], [...chat, `Content-Length: ${BODY.length + 1}`], BODY],
    [
      "an encoding that is not chunked at last",
      [400],
      ["POST /v1/chat/completions HTTP/1.1", ...HEADERS, "Transfer-Encoding: chunked, gzip", CLOSE],
      BODY,
    ],
    ["no HTTP at all", [400], ["hello"]],
    ["a method there is not", [400], ["BREW /health HTTP/1.1", "Host: localhost", CLOSE]],
    ["a method that goes nowhere", [405], ["DELETE /health HTTP/1.1", "Host: localhost", CLOSE]],
    ["HEAD", [200], ["HEAD /health HTTP/1.1", "Host: localhost", CLOSE]],
    [
      "OPTIONS from a page elsewhere",
      [403],
      ["OPTIONS /v1/models HTTP/1.1", "Host: localhost", "Origin: http://evil.com", CLOSE],
    ],
    ["OPTIONS for all of it", [400], ["OPTIONS * HTTP/1.1", "Host: localhost", CLOSE]],
    ["an upgrade", [200], ["GET /health HTTP/1.1", "Host: localhost", "Connection: close, upgrade", "Upgrade: websocket"]],
    ["an expectation there is not", [417], ["GET /health HTTP/1.1", "Host: localhost", "Expect: a miracle", CLOSE]],
    ["go on, then the body", [100, 200], [...chat, "Expect: 100-continue"], BODY],
    [
      "no going on where the body is too large",
      [413],
      ["POST /v1/chat/completions HTTP/1.1", ...HEADERS, `Content-Length: ${BODY_BYTES_MAX + 1}`, "Expect: 100-continue"],
    ],
  ])("%s: %j", async (_, expected, lines, body) => {
    expect(await statuses(lines, body)).toEqual(expected);
  });

  test("several at once on one connection are answered in their order", async () => {
    const one = ["POST /v1/chat/completions HTTP/1.1", ...HEADERS, `Content-Length: ${BODY.length}`, "", BODY].join("\r\n");
    const text = await raw([
      "GET /v1/models HTTP/1.1",
      "Host: localhost",
      "",
      one + one + "GET /nothing HTTP/1.1",
      "Host: localhost",
      CLOSE,
    ]);
    expect([...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status)).toEqual(["200", "200", "200", "404"]);
  });

  test("what the parser refuses is told as any other refusal, and headers beyond their limit as such", async () => {
    const text = await raw(["GET /health HTTP/1.1", "Host: localhost", `X-Big: ${"a".repeat(1024 * 1024)}`]);
    expect(text).toMatch(/^HTTP\/1\.1 431 /);
    expect(JSON.parse(text.slice(text.indexOf("\r\n\r\n")))).toMatchObject({ error: { type: "invalid_request_error" } });
  });

  test("HEAD for a stream of events opens none", async () => {
    const backend = fakeBackend();
    await using own = await start(backend);
    const socket = await dial(own);
    socket.resume();
    socket.write(`HEAD /cluster/v1/events HTTP/1.1\r\nHost: localhost\r\n${CLOSE}\r\n\r\n`);
    await once(socket, "close");
    expect(backend.listeners).toBe(0);
  });
});

describe("a refusal while the body is still coming", () => {
  test.each([
    ["too large", 413, ["Host: localhost", "Content-Type: application/json"]],
    ["of another kind", 415, ["Host: localhost", "Content-Type: text/plain"]],
    ["for another host", 403, ["Host: evil.com", "Content-Type: application/json"]],
  ])("%s: its writer reads the %i", async (_, status, headers) => {
    const socket = await dial();
    let text = "";
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString();
    });
    const closed = once(socket, "close");
    socket.write(["POST /v1/chat/completions HTTP/1.1", ...headers, "Transfer-Encoding: chunked", "", ""].join("\r\n"));
    const block = Buffer.concat([Buffer.from("100000\r\n"), Buffer.alloc(1024 * 1024, " "), Buffer.from("\r\n")]);
    // It writes on for a while after it could have read that it need not.
    for (let sent = 0; sent < BODY_BYTES_MAX + LINGER_BYTES_MAX / 2 && socket.writable; sent += 1024 * 1024) {
      if (!socket.write(block)) await Promise.race([once(socket, "drain"), closed]);
    }
    await closed;
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  test("who never stops is cut", async () => {
    const socket = await dial();
    socket.resume();
    socket.write(["POST /v1/chat/completions HTTP/1.1", "Host: evil.com", "Transfer-Encoding: chunked", "", ""].join("\r\n"));
    const block = Buffer.concat([Buffer.from("100000\r\n"), Buffer.alloc(1024 * 1024, " "), Buffer.from("\r\n")]);
    const pour = (): void => {
      while (socket.writable && socket.write(block));
    };
    socket.on("drain", pour);
    pour();
    await once(socket, "close");
    expect(socket.bytesWritten).toBeGreaterThan(0);
  });
});

describe("500 connections that drip", () => {
  test("are gone after a while; everyone else is answered meanwhile", async () => {
    const backend = fakeBackend(wellBehaved(["x"]));
    await using own = await start(backend, { timing: { headersMsMax: 1_500, requestMsMax: 3_000 } });
    const open = await Promise.all(Array.from({ length: 500 }, () => dial(own)));
    let gone = 0;
    open.forEach((socket, at) => {
      socket.once("close", () => {
        gone += 1;
      });
      socket.resume();
      const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
      socket.write(at % 2 === 0 ? head : `${head}Content-Length: 1000\r\n\r\n{`);
    });
    const drip = setInterval(() => {
      for (const socket of open) if (socket.writable) socket.write("x");
    }, 250);
    let answered = 0;
    const headers = { "content-type": "application/json" };
    while (gone < open.length) {
      const answer = await fetch(`${own.url}/v1/chat/completions`, { method: "POST", headers, body: BODY });
      expect([answer.status, typeof (await answer.json())]).toEqual([200, "object"]);
      answered += 1;
      await new Promise((done) => setTimeout(done, 20));
    }
    clearInterval(drip);
    expect(answered).toBeGreaterThan(0);
    expect(backend.engineRequests).toHaveLength(answered);
  });
});

describe("a client that reads nothing", () => {
  test("is cut before a megabyte is kept for it", async () => {
    let given = 0;
    const content = "x".repeat(1_000);
    const backend = fakeBackend(({ signal }) => {
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          await new Promise((done) => setImmediate(done));
          const choices = [{ index: 0, delta: { content }, finish_reason: null }];
          const bytes = Buffer.from(`data: ${JSON.stringify({ choices, id: "x", model: "m" })}\n\n`);
          if (!signal.aborted) given += bytes.length;
          controller.enqueue(bytes);
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    });
    await using own = await start(backend);
    const idle = await dial(own);
    idle.pause();
    const body = JSON.stringify({ ...CHAT, stream: true });
    idle.write(["POST /v1/chat/completions HTTP/1.1", ...HEADERS, `Content-Length: ${body.length}`, "", body].join("\r\n"));
    await expect.poll(() => backend.engineRequests[0]?.signal.aborted, { timeout: 60_000 }).toBe(true);
    // What the kernels of both ends hold is theirs to bound; the rest was kept here.
    let taken = 0;
    idle.on("data", (bytes: Buffer) => {
      taken += bytes.length;
    });
    idle.resume();
    if (!idle.closed) await once(idle, "close");
    expect(given - taken).toBeLessThan(1024 * 1024);
  });
});
