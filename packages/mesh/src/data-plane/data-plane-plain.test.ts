import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { afterAll, afterEach, expect, test } from "vitest";
import { loadCertificate } from "./certificate.ts";
import { startDataPlane, type DataPlane } from "./data-plane.ts";
import type { Offer } from "./offers.ts";
import { CHALLENGE_BYTES, challengeOf, connectorProof, encodeHello, makeNonce } from "./plain-proof.ts";
import { encodePreamble, REFUSED } from "./preamble.ts";
import { readExactly } from "./read-exactly.ts";
import { parseTrustedLink } from "./trusted-link.ts";

const stack: AsyncDisposable[] = [];
afterEach(async () => {
  for (const item of stack.splice(0).reverse()) await item[Symbol.asyncDispose]();
});
const folder = await mkdtemp(join(tmpdir(), "clusterd-plain-"));
afterAll(() => rm(folder, { recursive: true }));

const LOOPBACK = ["127.0.0.0/8"];
const ELSEWHERE = ["10.77.0.0/16"];
async function plane(name: string, links: readonly string[], onUnencrypted?: (address: string) => void): Promise<DataPlane> {
  const started = await startDataPlane({
    certificate: await loadCertificate(join(folder, `${name}.pem`)),
    listen: "127.0.0.1",
    port: 0,
    trustedLinks: links.map((link) => parseTrustedLink(link)),
    ...(onUnencrypted === undefined ? {} : { onUnencrypted }),
  });
  stack.push(started);
  return started;
}
/** An engine that echoes; counts its connections. */
async function engine(): Promise<{ port: number; reached: number }> {
  const server = createServer((socket) => {
    counted.reached += 1;
    socket.on("error", () => undefined);
    socket.pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.push({ [Symbol.asyncDispose]: async () => void server.close() });
  const counted = { port: (server.address() as AddressInfo).port, reached: 0 };
  return counted;
}
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
async function passes(head: DataPlane, worker: DataPlane, offer: Offer): Promise<"encrypted" | "plain"> {
  const socket = await head.connect(reach(worker, offer.ticket));
  socket.write("ping");
  expect(String((await once(socket, "data"))[0])).toBe("ping");
  socket.destroy();
  return socket instanceof TLSSocket ? "encrypted" : "plain";
}
/** A connection of somebody who speaks for themselves. */
async function raw(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1").on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}
async function challenged(socket: Socket, head: DataPlane, worker: DataPlane) {
  const hello = { connector: head.fingerprint, connectorNonce: makeNonce() };
  socket.write(encodeHello(hello));
  const listenerNonce = challengeOf(await readExactly(socket, CHALLENGE_BYTES, AbortSignal.timeout(5_000))) as Uint8Array;
  expect(listenerNonce).not.toBeNull();
  return { ...hello, listener: worker.fingerprint, listenerNonce };
}
async function refused(socket: Socket): Promise<void> {
  expect([...(await readExactly(socket, 1, AbortSignal.timeout(5_000)))]).toEqual([REFUSED]);
  await once(socket.resume(), "close");
}
/** Everything a listener says until it closes. */
async function lastWords(socket: Socket): Promise<Buffer> {
  const heard: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => heard.push(chunk));
  await once(socket, "close");
  return Buffer.concat(heard);
}

test("plain only where both ends declare the link, and said so; encrypted in every other case", async () => {
  const told: string[] = [];
  for (const [ofHead, ofWorker, expected] of [
    [[], [], "encrypted"],
    [LOOPBACK, [], "encrypted"],
    [[], LOOPBACK, "encrypted"],
    [ELSEWHERE, ELSEWHERE, "encrypted"],
    [LOOPBACK, ELSEWHERE, "encrypted"],
    [LOOPBACK, LOOPBACK, "plain"],
  ] as const) {
    const head = await plane("head", ofHead, (address) => told.push(`head ${address}`));
    const worker = await plane("worker", ofWorker, (address) => told.push(`worker ${address}`));
    const offer = offerTo(head, worker, (await engine()).port);
    expect(told).toEqual([]);
    expect(await passes(head, worker, offer)).toBe(expected);
    expect(await passes(head, worker, offer)).toBe(expected);
  }
  expect(told.toSorted()).toEqual(["head 127.0.0.1", "worker 127.0.0.1"]);
});

test("a plain tunnel carries bytes both ways, unchanged, and is known as unencrypted; an encrypted one as encrypted", async () => {
  for (const links of [LOOPBACK, []]) {
    const [head, worker] = [await plane("head", links), await plane("worker", links)];
    const offer = offerTo(head, worker, (await engine()).port);
    const tunnel = await head.listen(reach(worker, offer.ticket));
    expect(tunnel.encrypted).toBeNull();
    const sent = randomBytes(4 * 1024 * 1024);
    const socket = connect(tunnel.port, "127.0.0.1");
    socket.end(sent);
    const got: Buffer[] = [];
    for await (const chunk of socket) got.push(chunk as Buffer);
    expect(Buffer.concat(got).equals(sent)).toBe(true);
    expect(tunnel.encrypted).toBe(links.length === 0);
    await expect.poll(() => offer.openTunnels).toBe(0);
  }
});

test("what crosses a plain link does not hold the ticket", async () => {
  const [head, worker] = [await plane("head", LOOPBACK), await plane("worker", LOOPBACK)];
  const offer = offerTo(head, worker, (await engine()).port);
  const crossed: Buffer[] = [];
  const wire = createServer((socket) => {
    const onward = connect(worker.port, "127.0.0.1");
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      from.on("data", (chunk: Buffer) => crossed.push(chunk));
      from.on("error", () => undefined).on("close", () => to.destroy());
      from.pipe(to);
    }
  }).listen(0, "127.0.0.1");
  await once(wire, "listening");
  stack.push({ [Symbol.asyncDispose]: async () => void wire.close() });
  const at = { ...reach(worker, offer.ticket), port: (wire.address() as AddressInfo).port };
  const socket = await head.connect(at);
  socket.write("in the clear");
  await once(socket, "data");
  const heard = Buffer.concat(crossed).toString("hex");
  expect(heard).toContain(Buffer.from("in the clear").toString("hex"));
  expect(heard).not.toContain(Buffer.from(offer.ticket).toString("hex"));
  socket.destroy();
});

test("a wrong ticket, another node's ticket, a withdrawn offer: nothing passes", async () => {
  const [head, other] = [await plane("head", LOOPBACK), await plane("other", LOOPBACK)];
  const worker = await plane("worker", LOOPBACK);
  const target = await engine();
  const offer = offerTo(head, worker, target.port);
  const othersOffer = offerTo(other, worker, target.port);
  await expect(head.connect(reach(worker, randomBytes(32)))).rejects.toThrow(/ticket/);
  await expect(head.connect(reach(worker, othersOffer.ticket))).rejects.toThrow(/ticket/);
  const forged = await raw(worker.port);
  await challenged(forged, head, worker);
  forged.write(randomBytes(32));
  await refused(forged);
  expect(target.reached).toBe(0);
  expect(await passes(head, worker, offer)).toBe("plain");
  offer[Symbol.dispose]();
  await expect(head.connect(reach(worker, offer.ticket))).rejects.toThrow(/ticket/);
});

test("a proof that was heard is worth nothing on another connection, nor the other end's, nor a second one on the same", async () => {
  const [head, worker] = [await plane("head", LOOPBACK), await plane("worker", LOOPBACK)];
  const target = await engine();
  const { ticket } = offerTo(head, worker, target.port);
  const honest = await raw(worker.port);
  const session = await challenged(honest, head, worker);
  const heard = connectorProof(ticket, session);

  const replayed = await raw(worker.port);
  replayed.write(encodeHello(session));
  await readExactly(replayed, CHALLENGE_BYTES, AbortSignal.timeout(5_000));
  replayed.write(heard);
  await refused(replayed);

  const asAnother = await raw(worker.port);
  const theirs = await challenged(asAnother, head, worker);
  asAnother.write(connectorProof(ticket, { ...theirs, connector: worker.fingerprint }));
  await refused(asAnother);

  const twice = await raw(worker.port);
  const again = await challenged(twice, head, worker);
  twice.write(Buffer.concat([randomBytes(32), connectorProof(ticket, again)]));
  await refused(twice);

  expect(target.reached).toBe(0);
  // The control: on its own connection that proof opens the way.
  honest.write(heard);
  expect((await readExactly(honest, 1, AbortSignal.timeout(5_000)))[0]).toBe(0x01);
  await expect.poll(() => target.reached).toBe(1);
  honest.destroy();
});

test("whoever answers must know the ticket as well: an impostor is not taken for the worker", async () => {
  const [head, worker] = [await plane("head", LOOPBACK), await plane("worker", LOOPBACK)];
  const offer = offerTo(head, worker, (await engine()).port);
  const impostor = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write(Buffer.concat([Buffer.of(0x03), makeNonce()]));
      // Says yes, and sends the connector's own proof back as its own.
      socket.once("data", (proof: Buffer) => socket.write(Buffer.concat([Buffer.of(0x01), proof])));
    });
  }).listen(0, "127.0.0.1");
  await once(impostor, "listening");
  stack.push({ [Symbol.asyncDispose]: async () => void impostor.close() });
  const port = (impostor.address() as AddressInfo).port;
  await expect(head.connect({ ...reach(worker, offer.ticket), port })).rejects.toThrow(/another node answers there/);
  expect(await passes(head, worker, offer)).toBe("plain");
});

test("plain from an address that is not trusted: cut without a challenge, whatever it knows", async () => {
  const target = await engine();
  for (const links of [[], ELSEWHERE]) {
    const [head, worker] = [await plane("head", links), await plane("worker", links)];
    const offer = offerTo(head, worker, target.port);
    const socket = await raw(worker.port);
    socket.write(encodeHello({ connector: head.fingerprint, connectorNonce: makeNonce() }));
    expect(challengeOf((await lastWords(socket)).subarray(0, CHALLENGE_BYTES))).toBeNull();
    expect(target.reached).toBe(0);
    expect(await passes(head, worker, offer)).toBe("encrypted");
    await worker[Symbol.asyncDispose]();
    target.reached = 0;
  }
});

test("on a trusted link: no bearer ticket, no unknown node, no rubbish gets further than the door", async () => {
  const [head, worker] = [await plane("head", LOOPBACK), await plane("worker", LOOPBACK)];
  const target = await engine();
  const offer = offerTo(head, worker, target.port);
  const filler = Buffer.alloc(100, 0x41);
  for (const said of [
    Buffer.concat([encodePreamble(offer.ticket), filler]),
    encodeHello({ connector: worker.fingerprint, connectorNonce: makeNonce() }),
    Buffer.concat([Buffer.from("GET / HTTP/1.1\r\n"), filler]),
  ]) {
    const socket = await raw(worker.port);
    socket.write(said);
    await refused(socket);
  }
  // What begins like TLS is TLS's to refuse.
  const handshake = await raw(worker.port);
  handshake.write(Buffer.concat([Buffer.of(0x16), filler]));
  await lastWords(handshake);
  expect(target.reached).toBe(0);
  expect(await passes(head, worker, offer)).toBe("plain");
});

test("silent, half a hello, half a proof: cut, and honest peers come in meanwhile", { timeout: 20_000 }, async () => {
  const [head, worker] = [await plane("head", LOOPBACK), await plane("worker", LOOPBACK)];
  const target = await engine();
  const offer = offerTo(head, worker, target.port);
  const silent = await raw(worker.port);
  const half = await raw(worker.port);
  half.write(encodeHello({ connector: head.fingerprint, connectorNonce: makeNonce() }).subarray(0, 40));
  const unproved = await raw(worker.port);
  await challenged(unproved, head, worker);
  unproved.write(randomBytes(7));
  expect(await passes(head, worker, offer)).toBe("plain");
  await Promise.all([silent, half, unproved].map((socket) => lastWords(socket)));
  expect(target.reached).toBe(1);
  expect(await passes(head, worker, offer)).toBe("plain");
});

test("an engine that is not there is named over a plain link as well", async () => {
  const [head, worker] = [await plane("head", LOOPBACK), await plane("worker", LOOPBACK)];
  const gone = createServer().listen(0, "127.0.0.1");
  await once(gone, "listening");
  const { port } = gone.address() as AddressInfo;
  gone.close();
  await once(gone, "close");
  await expect(head.connect(reach(worker, offerTo(head, worker, port).ticket))).rejects.toThrow(/engine does not answer/);
});
