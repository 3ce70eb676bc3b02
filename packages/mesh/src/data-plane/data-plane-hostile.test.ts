import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { afterAll, afterEach, expect, test } from "vitest";
import { loadCertificate, type Certificate } from "./certificate.ts";
import { startDataPlane, type DataPlane } from "./data-plane.ts";
import type { Offer } from "./offers.ts";
import { encodePreamble } from "./preamble.ts";
import { STRANGERS_MAX } from "./strangers.ts";

const stack: AsyncDisposable[] = [];
afterEach(async () => {
  for (const item of stack.splice(0).reverse()) await item[Symbol.asyncDispose]();
});
const folder = await mkdtemp(join(tmpdir(), "clusterd-hostile-"));
afterAll(() => rm(folder, { recursive: true }));

async function certificateOf(name: string): Promise<Certificate> {
  return await loadCertificate(join(folder, `${name}.pem`));
}
async function plane(name: string): Promise<DataPlane> {
  const started = await startDataPlane({ certificate: await certificateOf(name), listen: "127.0.0.1", port: 0 });
  stack.push(started);
  return started;
}
/** A server that does with every connection what the test says, and remembers them. */
async function serve(onConnection: (socket: Socket) => void): Promise<{ port: number; open: Set<Socket>; close(): void }> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => open.delete(socket));
    onConnection(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.push({ [Symbol.asyncDispose]: async () => void server.close() });
  return { port: (server.address() as AddressInfo).port, open, close: () => void server.close() };
}
const echo = (socket: Socket): void => void socket.pipe(socket);
const offerTo = (peer: DataPlane, from: DataPlane, port: number): Offer =>
  from.offer({ peerFingerprint: peer.fingerprint, target: { host: "127.0.0.1", port }, kind: "rpc", label: "test" });
const reach = (to: DataPlane, ticket: Uint8Array) => ({
  address: "127.0.0.1",
  port: to.port,
  fingerprint: to.fingerprint,
  ticket,
  peerName: "worker",
  signal: AbortSignal.timeout(8_000),
});
async function raw(to: DataPlane, own?: Certificate): Promise<TLSSocket> {
  const identity: ConnectionOptions = own === undefined ? {} : { key: own.keyPem, cert: own.certificatePem };
  const socket = connectTls({ ...identity, host: "127.0.0.1", port: to.port, rejectUnauthorized: false });
  socket.on("error", () => undefined);
  await once(socket, "secureConnect");
  return socket;
}
async function passes(head: DataPlane, worker: DataPlane, offer: Offer): Promise<boolean> {
  const socket = await head.connect(reach(worker, offer.ticket));
  socket.write("ping");
  const [answer] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return answer.toString() === "ping";
}

test("a hundred megabytes arrive unchanged at a reader that dawdles, and memory stays bounded", { timeout: 60_000 }, async () => {
  const [head, worker] = [await plane("head"), await plane("worker")];
  const pieces = 100;
  const piece = randomBytes(1024 * 1024);
  const hash = createHash("sha256");
  for (let index = 0; index < pieces; index += 1) hash.update(piece);
  const target = await serve((socket) => {
    let index = 0;
    const more = (): void => {
      while (index < pieces) {
        index += 1;
        if (!socket.write(piece)) return;
      }
      socket.end();
    };
    socket.on("drain", more);
    more();
  });
  const offer = offerTo(head, worker, target.port);
  const tunnel = await head.listen(reach(worker, offer.ticket));
  const socket = connect(tunnel.port, "127.0.0.1");
  const got = createHash("sha256");
  let bytes = 0;
  let rests = 0;
  let heldMax = 0;
  const heldBefore = process.memoryUsage().arrayBuffers;
  for await (const chunk of socket) {
    got.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > rests * 5_000_000) {
      rests += 1;
      heldMax = Math.max(heldMax, process.memoryUsage().arrayBuffers - heldBefore);
      await new Promise((done) => setTimeout(done, 20));
    }
  }
  expect(bytes).toBe(pieces * piece.length);
  expect(got.digest("hex")).toBe(hash.digest("hex"));
  // Of the 100 MiB; what the collector has not taken back yet counts as well.
  expect(heldMax).toBeLessThan(80 * 1024 * 1024);
  await expect.poll(() => offer.openTunnels).toBe(0);
});

test("no certificate, a ticket of another peer, rubbish: dropped before the target is reached", async () => {
  const [head, worker, other] = [await plane("head"), await plane("worker"), await plane("other")];
  let reached = 0;
  const target = await serve((socket) => {
    reached += 1;
    echo(socket);
  });
  const offer = offerTo(head, worker, target.port);
  const othersOffer = offerTo(other, worker, target.port);

  const nobody = await raw(worker);
  nobody.write(encodePreamble(offer.ticket));
  await once(nobody.resume(), "close");
  await expect(head.connect(reach(worker, othersOffer.ticket))).rejects.toThrow(/ticket/);
  const rubbish = await raw(worker, await certificateOf("head"));
  rubbish.write("GET / HTTP/1.1\r\nhost: worker\r\naccept: everything that is there\r\n\r\n");
  await once(rubbish.resume(), "close");
  expect(reached).toBe(0);
  expect(await passes(head, worker, offer)).toBe(true);
  expect(await passes(other, worker, othersOffer)).toBe(true);
});

test("a preamble that comes by the byte and never ends is cut", { timeout: 20_000 }, async () => {
  const [head, worker] = [await plane("head"), await plane("worker")];
  const target = await serve(echo);
  const offer = offerTo(head, worker, target.port);
  const slow = await raw(worker, await certificateOf("head"));
  const preamble = encodePreamble(offer.ticket);
  let sent = 0;
  const timer = setInterval(() => slow.write(preamble.subarray(sent, ++sent)), 400);
  await once(slow.resume(), "close");
  clearInterval(timer);
  expect(sent).toBeLessThan(preamble.length);
  expect(await passes(head, worker, offer)).toBe(true);
});

test("a crowd of strangers, beyond every limit, keeps no honest tunnel out and is not kept", { timeout: 20_000 }, async () => {
  const [head, worker] = [await plane("head"), await plane("worker")];
  const target = await serve(echo);
  const offer = offerTo(head, worker, target.port);
  const before = await head.connect(reach(worker, offer.ticket));
  let cut = 0;
  const crowd = Array.from({ length: STRANGERS_MAX * 3 }, () =>
    connect(worker.port, "127.0.0.1")
      .on("error", () => undefined)
      .on("close", () => (cut += 1)),
  );
  await expect.poll(() => cut, { timeout: 5_000 }).toBeGreaterThanOrEqual(STRANGERS_MAX * 2);
  expect(await passes(head, worker, offer)).toBe(true);
  before.write("still");
  expect(String(await once(before, "data"))).toBe("still");
  before.destroy();
  for (const stranger of crowd) stranger.destroy();
});

test("the peer dies mid-stream: both ends see it", async () => {
  const [head, worker] = [await plane("head"), await plane("worker")];
  const target = await serve((socket) => void socket.write(Buffer.alloc(8 * 1024 * 1024)));
  const offer = offerTo(head, worker, target.port);
  const failures: string[] = [];
  const tunnel = await head.listen({ ...reach(worker, offer.ticket), onFailure: (reason) => failures.push(reason) });
  const engine = connect(tunnel.port, "127.0.0.1").on("error", () => undefined);
  await once(engine, "data");
  expect(target.open.size).toBe(1);
  engine.resume();
  await worker[Symbol.asyncDispose]();
  await once(engine, "close");
  await expect.poll(() => failures.length).toBe(1);
  await expect.poll(() => target.open.size).toBe(0);
});

test("the head's engine dies: the worker's target is released and nobody is blamed", async () => {
  const [head, worker] = [await plane("head"), await plane("worker")];
  const target = await serve((socket) => void socket.write(Buffer.alloc(8 * 1024 * 1024)));
  const offer = offerTo(head, worker, target.port);
  const failures: string[] = [];
  const tunnel = await head.listen({ ...reach(worker, offer.ticket), onFailure: (reason) => failures.push(reason) });
  const engine = connect(tunnel.port, "127.0.0.1").on("error", () => undefined);
  await once(engine, "data");
  engine.resetAndDestroy();
  await expect.poll(() => target.open.size).toBe(0);
  await expect.poll(() => offer.openTunnels).toBe(0);
  expect(failures).toEqual([]);
});

test("a target that refuses is named; an offer withdrawn cuts its open tunnels", async () => {
  const [head, worker] = [await plane("head"), await plane("worker")];
  const gone = await serve(echo);
  gone.close();
  const dead = offerTo(head, worker, gone.port);
  await expect(head.connect(reach(worker, dead.ticket))).rejects.toThrow(/worker cannot be reached.*engine does not answer/);

  const target = await serve(echo);
  const offer = offerTo(head, worker, target.port);
  const socket = await head.connect(reach(worker, offer.ticket));
  expect(offer.openTunnels).toBe(1);
  offer[Symbol.dispose]();
  await once(socket.resume(), "close");
  await expect.poll(() => target.open.size).toBe(0);
  expect(offer.openTunnels).toBe(0);
});

test("nobody there: the peer is named, and waiting can be stopped", async () => {
  const [head, worker] = [await plane("head"), await plane("worker")];
  const at = reach(worker, randomBytes(32));
  await worker[Symbol.asyncDispose]();
  await expect(head.connect(at)).rejects.toMatchObject({ code: "worker_lost", message: expect.stringContaining("worker") });
  const silent = await serve(() => undefined);
  const stop = new AbortController();
  const connecting = head.connect({ ...at, port: silent.port, signal: stop.signal });
  stop.abort();
  await expect(connecting).rejects.toThrow(/stopped/);
  await expect.poll(() => silent.open.size).toBe(0);
});
