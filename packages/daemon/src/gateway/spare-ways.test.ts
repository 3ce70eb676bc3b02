import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSpareWays } from "./spare-ways.ts";

let server: Server;
let accepted: Set<Socket>;
let opened: number;

beforeEach(async () => {
  accepted = new Set();
  opened = 0;
  server = createServer((socket) => {
    accepted.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => accepted.delete(socket));
    socket.resume();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
});

afterEach(async () => {
  for (const socket of accepted) socket.destroy();
  await new Promise((done) => void server.close(done));
});

async function dial(): Promise<Socket> {
  opened += 1;
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(socket, "connect");
  return socket;
}

test("a way that was opened beforehand is there for the next request, once", async () => {
  const ways = createSpareWays({ refillMs: 0 });
  expect(ways.take("a")).toBe(null);
  ways.refill("a", dial);
  await expect.poll(() => accepted.size).toBe(1);
  expect(ways.take("b")).toBe(null);
  const way = ways.take("a");
  expect([way?.destroyed, ways.take("a")]).toEqual([false, null]);
  way?.destroy();
});

test("there are no more than four for a deployment, being opened or open", async () => {
  const ways = createSpareWays({ refillMs: 0 });
  for (let at = 0; at < 20; at += 1) ways.refill("a", dial);
  await expect.poll(() => accepted.size).toBe(4);
  for (let at = 0; at < 20; at += 1) ways.refill("a", dial);
  ways.refill("b", dial);
  await expect.poll(() => accepted.size).toBe(5);
  expect(opened).toBe(5);
  ways.take("a")?.destroy();
  ways.refill("a", dial);
  await expect.poll(() => opened).toBe(6);
});

test("one that nobody takes is closed; one that was taken is not", async () => {
  const ways = createSpareWays({ refillMs: 0, spareMsMax: 300 });
  ways.refill("a", dial);
  ways.refill("a", dial);
  await expect.poll(() => accepted.size).toBe(2);
  const taken = ways.take("a");
  await expect.poll(() => accepted.size).toBe(1);
  expect([taken?.destroyed, ways.take("a")]).toEqual([false, null]);
  taken?.destroy();
});

test("one that has broken is not given, and one that could not be opened leaves its place", async () => {
  const ways = createSpareWays({ refillMs: 0 });
  let failures = 0;
  for (let at = 0; at < 4; at += 1) ways.refill("a", () => Promise.reject(new Error(`no ${(failures += 1)}`)));
  await expect.poll(() => failures).toBe(4);
  ways.refill("a", dial);
  await expect.poll(() => accepted.size).toBe(1);
  for (const socket of accepted) socket.resetAndDestroy();
  await expect.poll(() => ways.take("a")).toBe(null);
});
