import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { loadCertificate } from "./certificate.ts";
import { startDataPlane, type DataPlane } from "./data-plane.ts";

const stack: AsyncDisposable[] = [];
afterEach(async () => {
  for (const item of stack.splice(0).reverse()) await item[Symbol.asyncDispose]();
});

const folder = await mkdtemp(join(tmpdir(), "clusterd-data-plane-"));
async function plane(name: string): Promise<DataPlane> {
  const certificate = await loadCertificate(join(folder, `${name}.pem`));
  const started = await startDataPlane({ certificate, listen: "127.0.0.1", port: 0 });
  stack.push(started);
  return started;
}
async function echo(
  onConnection = (socket: Socket): void => void socket.pipe(socket),
): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    onConnection(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.push({ [Symbol.asyncDispose]: async () => void server.close() });
  return { server, port: (server.address() as AddressInfo).port };
}
const target = (port: number) => ({ target: { host: "127.0.0.1" as const, port }, kind: "rpc" as const, label: "test" });
const reach = (to: DataPlane, ticket: Uint8Array) => ({
  address: "127.0.0.1",
  port: to.port,
  fingerprint: to.fingerprint,
  ticket,
  peerName: "worker",
});
const soon = (): AbortSignal => AbortSignal.timeout(8000);

test("a certificate is made once, private, and renewed when damaged", async () => {
  const file = join(folder, "kept.pem");
  const made = await loadCertificate(file);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await loadCertificate(file)).toEqual(made);
  await writeFile(file, "damaged");
  expect((await loadCertificate(file)).fingerprint).not.toBe(made.fingerprint);
  expect(await readFile(file, "utf8")).toContain("BEGIN CERTIFICATE");
});

test("the right peer passes bytes both ways, unchanged, however slowly they are read", async () => {
  const [head, worker] = [await plane("head"), await plane("worker")];
  const { port } = await echo();
  const offer = worker.offer({ ...target(port), peerFingerprint: head.fingerprint });
  const tunnel = await head.listen(reach(worker, offer.ticket));
  stack.push(tunnel);
  const sent = randomBytes(16 * 1024 * 1024);
  const socket = connect(tunnel.port, "127.0.0.1");
  socket.end(sent);
  const hash = createHash("sha256");
  let got = 0;
  for await (const chunk of socket) {
    hash.update(chunk as Buffer);
    got += (chunk as Buffer).length;
    if (got % 7 === 0) await new Promise((done) => setTimeout(done, 1));
  }
  expect(got).toBe(sent.length);
  expect(hash.digest("hex")).toBe(createHash("sha256").update(sent).digest("hex"));
  expect(tunnel.traffic).toEqual({ sent: sent.length, received: sent.length });
  await expect.poll(() => offer.openTunnels).toBe(0);
  // Encryption and what comes before it included, whether the sockets are closed or not.
  for (const { traffic } of [head, worker]) {
    expect(traffic.sent).toBeGreaterThan(sent.length);
    expect(traffic.sent).toBeLessThan(1.05 * sent.length);
    expect(traffic.received).toBeGreaterThan(sent.length);
    expect(traffic.received).toBeLessThan(1.05 * sent.length);
  }
});

test("another certificate, another ticket, a withdrawn offer: nothing passes", async () => {
  const [head, worker, stranger] = [await plane("head"), await plane("worker"), await plane("stranger")];
  let reached = 0;
  const { port } = await echo(() => reached++);
  const offer = worker.offer({ ...target(port), peerFingerprint: head.fingerprint });
  await expect(stranger.connect({ ...reach(worker, offer.ticket), signal: soon() })).rejects.toThrow(/worker cannot be reached/);
  await expect(head.connect({ ...reach(worker, randomBytes(32)), signal: soon() })).rejects.toThrow(/ticket/);
  await expect(
    head.connect({ ...reach(worker, offer.ticket), fingerprint: stranger.fingerprint, signal: soon() }),
  ).rejects.toThrow(/another certificate/);
  expect(reached).toBe(0);
  (await head.connect({ ...reach(worker, offer.ticket), signal: soon() })).destroy();
  await expect.poll(() => reached).toBe(1);
  offer[Symbol.dispose]();
  await expect(head.connect({ ...reach(worker, offer.ticket), signal: soon() })).rejects.toThrow(/ticket/);
});

test("when the target goes, the engine's socket goes at once and the loss is told", async () => {
  const [head, worker] = [await plane("head"), await plane("worker")];
  let last: Socket | null = null;
  const { port } = await echo((socket) => {
    last = socket;
    socket.pipe(socket);
  });
  const offer = worker.offer({ ...target(port), peerFingerprint: head.fingerprint });
  const failures: string[] = [];
  const tunnel = await head.listen({ ...reach(worker, offer.ticket), onFailure: (reason) => failures.push(reason) });
  stack.push(tunnel);
  const socket = connect(tunnel.port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write("hello");
  await once(socket, "data");
  (last as Socket | null)?.resetAndDestroy();
  await once(socket, "close");
  await expect.poll(() => failures.length).toBe(1);
});

test("strangers that say nothing do not keep an honest tunnel out", async () => {
  const [head, worker] = [await plane("head"), await plane("worker")];
  const { port } = await echo();
  const silent = Array.from({ length: 40 }, () => connect(worker.port, "127.0.0.1").on("error", () => undefined));
  await Promise.all(silent.map((socket) => once(socket, "connect")));
  const offer = worker.offer({ ...target(port), peerFingerprint: head.fingerprint });
  const socket = await head.connect({ ...reach(worker, offer.ticket), signal: soon() });
  socket.write("ping");
  expect(String(await once(socket, "data"))).toBe("ping");
  for (const stranger of silent) stranger.destroy();
  socket.destroy();
});
