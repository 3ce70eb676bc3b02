// What a tunnel costs: decode-like round trips and bulk over loopback, encrypted and over a link declared private, against plain TCP,
// plain TLS, and two relays that do as little as Node needs, interleaved in one run; and what the cipher alone costs.
// Usage: node scripts/bench/tunnel.ts [--rounds N] [--json]
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { parseArgs } from "node:util";
import { loadCertificate } from "../../packages/mesh/src/data-plane/certificate.ts";
import { startBenchProcess } from "./bench-process.ts";
import { measureCipher } from "./cipher-cost.ts";
import { describeMachine, median } from "./machine.ts";
import { processCpuMs } from "./process-cpu.ts";
import { BULK, BULK_BYTES, DOWN_BYTES, ROUND_TRIPS, UP_BYTES } from "./tunnel-target-process.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "7" }, json: { type: "boolean", default: false } },
});
const ROUNDS = Number(values.rounds);
const TRIPS_PER_ROUND = 400;
const BULKS_PER_ROUND = 2;
const ROUND_MEGABYTES: number = (BULKS_PER_ROUND * BULK_BYTES) / 1e6;

const CIPHER_PIECES: readonly number[] = [16, 64, 256, 1024].map((kibibytes) => kibibytes * 1024);

type Way = "tcp" | "tls" | "minimal relays" | "tunnel" | "private link";
const WAYS: readonly Way[] = ["tcp", "tls", "minimal relays", "tunnel", "private link"];

await using stack = new AsyncDisposableStack();
const folder = await mkdtemp(join(tmpdir(), "clusterd-bench-"));
stack.defer(() => rm(folder, { recursive: true }));
const certificate = await loadCertificate(join(folder, "certificate.pem"));

const target = stack.use(await startBenchProcess(new URL("tunnel-target-process.ts", import.meta.url)));
const ports = await target.ask<{ tcp: number; tls: number }>({ key: certificate.keyPem, cert: certificate.certificatePem });
const planeScript = new URL("data-plane-process.ts", import.meta.url);

/** Two relays of any kind and the loopback port through both of them. */
interface Tunnelled {
  readonly port: number;
  readonly pids: readonly number[];
}

async function startTunnel(trustedLinks: readonly string[]): Promise<Tunnelled> {
  const [head, worker] = [stack.use(await startBenchProcess(planeScript)), stack.use(await startBenchProcess(planeScript))];
  const headAt = await head.ask<{ port: number; fingerprint: string }>({ type: "start", trustedLinks });
  const workerAt = await worker.ask<{ port: number; fingerprint: string }>({ type: "start", trustedLinks });
  const offer = { type: "offer", peerFingerprint: headAt.fingerprint, port: ports.tcp };
  const { ticket } = await worker.ask<{ ticket: Uint8Array }>(offer);
  const { port } = await head.ask<{ port: number }>({ type: "listen", ...workerAt, ticket });
  return { port, pids: [head.pid, worker.pid] };
}

async function startMinimalRelays(): Promise<Tunnelled> {
  const script = new URL("minimal-relay-process.ts", import.meta.url);
  const [head, worker] = [stack.use(await startBenchProcess(script)), stack.use(await startBenchProcess(script))];
  const port = await head.ask<number>({ port: await worker.ask<number>({ port: ports.tcp }) });
  return { port, pids: [head.pid, worker.pid] };
}

const tunnels: Readonly<Partial<Record<Way, Tunnelled>>> = {
  "minimal relays": await startMinimalRelays(),
  tunnel: await startTunnel([]),
  "private link": await startTunnel(["127.0.0.0/8"]),
};
/** All that a byte passes, in order: the measuring side, the two relays where there are any, the target. */
const pidsOf = (way: Way): readonly number[] => [process.pid, ...(tunnels[way]?.pids ?? []), target.pid];

async function open(way: Way): Promise<Socket> {
  const socket =
    way === "tls"
      ? connectTls({ host: "127.0.0.1", port: ports.tls, rejectUnauthorized: false })
      : connect(tunnels[way]?.port ?? ports.tcp, "127.0.0.1");
  await once(socket, way === "tls" ? "secureConnect" : "connect");
  socket.setNoDelay(true);
  return socket;
}

async function readBytes(socket: Socket, length: number): Promise<void> {
  for (let got = 0; got < length;) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) await once(socket, "readable");
    else got += chunk.length;
  }
}

/** Milliseconds from dialling to the first answer: what each of the engine's short connections pays while it loads. */
async function measureConnect(way: Way): Promise<number> {
  const start = performance.now();
  const socket = await open(way);
  socket.write(Buffer.concat([Buffer.of(ROUND_TRIPS), Buffer.alloc(UP_BYTES)]));
  await readBytes(socket, DOWN_BYTES);
  socket.destroy();
  return performance.now() - start;
}

/** Milliseconds per round trip. */
async function measureTrips(socket: Socket): Promise<number> {
  const request = Buffer.alloc(UP_BYTES, 3);
  const times: number[] = [];
  for (let trip = 0; trip < TRIPS_PER_ROUND; trip += 1) {
    const start = performance.now();
    socket.write(request);
    await readBytes(socket, DOWN_BYTES);
    times.push(performance.now() - start);
  }
  return median(times);
}

/** Megabytes (10^6) per second, and how long each process of the way worked for all of them. */
async function measureBulk(way: Way, socket: Socket): Promise<{ megabytesPerSecond: number; cpuMs: number[] }> {
  const piece = Buffer.alloc(1024 * 1024, 5);
  const megabytes = ROUND_MEGABYTES;
  const before = await cpuOf(way);
  const start = performance.now();
  for (let left = BULKS_PER_ROUND * BULK_BYTES; left > 0; left -= piece.length) {
    if (!socket.write(piece)) await once(socket, "drain");
  }
  await readBytes(socket, BULKS_PER_ROUND);
  const seconds = (performance.now() - start) / 1e3;
  const after = await cpuOf(way);
  return {
    megabytesPerSecond: megabytes / seconds,
    cpuMs: after.map((ms, index) => ms - (before[index] ?? 0)),
  };
}

async function cpuOf(way: Way): Promise<number[]> {
  return Promise.all(pidsOf(way).map(async (pid) => (await processCpuMs(pid)) ?? Number.NaN));
}

interface Measured {
  readonly connectMs: number[];
  readonly tripMs: number[];
  readonly megabytesPerSecond: number[];
  /** Of each process, all rounds of bulk together: they are counted in hundredths of a second. */
  readonly cpuMs: number[];
}

const results = Object.fromEntries(
  WAYS.map((way) => [way, { connectMs: [], tripMs: [], megabytesPerSecond: [], cpuMs: pidsOf(way).map(() => 0) }]),
) as unknown as Record<Way, Measured>;
const sockets = new Map<string, Socket>();
for (const way of WAYS) {
  for (const mode of [ROUND_TRIPS, BULK]) {
    const socket = await open(way);
    socket.write(Buffer.of(mode));
    sockets.set(`${way} ${mode}`, socket);
    stack.defer(() => void socket.destroy());
  }
}
// The first round warms up and is not counted.
for (let round = 0; round <= ROUNDS; round += 1) {
  for (const way of WAYS) {
    const tripMs = await measureTrips(sockets.get(`${way} ${ROUND_TRIPS}`) as Socket);
    const { megabytesPerSecond, cpuMs } = await measureBulk(way, sockets.get(`${way} ${BULK}`) as Socket);
    const connectMs = await measureConnect(way);
    if (round === 0) continue;
    results[way].tripMs.push(tripMs);
    results[way].megabytesPerSecond.push(megabytesPerSecond);
    results[way].connectMs.push(connectMs);
    cpuMs.forEach((ms, index) => (results[way].cpuMs[index] = (results[way].cpuMs[index] ?? 0) + ms));
  }
}

const rows = WAYS.map((way) => {
  const cpuMsPerMegabyte = results[way].cpuMs.map((ms) => Number((ms / (ROUNDS * ROUND_MEGABYTES)).toFixed(2)));
  return {
    way,
    tripMs: median(results[way].tripMs),
    megabytesPerSecond: median(results[way].megabytesPerSecond),
    connectMs: median(results[way].connectMs),
    cpuMsPerMegabyte,
    // A projection: were each process alone on a core, the busiest one would set the pace.
    megabytesPerSecondWithCoresToSpare: 1e3 / Math.max(...cpuMsPerMegabyte),
  };
});
const ciphers = CIPHER_PIECES.map(measureCipher);
const [plain] = rows;
if (values.json) {
  const sizes = { upBytes: UP_BYTES, downBytes: DOWN_BYTES };
  console.log(JSON.stringify({ machine: describeMachine(), rounds: ROUNDS, ...sizes, rows, ciphers }));
} else {
  console.log(`Machine: ${describeMachine()}. Medians of ${ROUNDS} rounds, the ways taking turns.\n`);
  console.log(
    "| way | round trip, 9 KiB up, 4 KiB down | × | bulk | × | connect and first answer | CPU ms per MB: measuring side, relays, target | with cores to spare |",
  );
  console.log("| --- | --- | --- | --- | --- | --- | --- | --- |");
  for (const row of rows) {
    const trips = (row.tripMs / (plain?.tripMs ?? 1)).toFixed(2);
    const bulk = (row.megabytesPerSecond / (plain?.megabytesPerSecond ?? 1)).toFixed(2);
    const cpu = row.cpuMsPerMegabyte.map((ms) => ms.toFixed(2)).join(", ");
    console.log(
      `| ${row.way} | ${row.tripMs.toFixed(3)} ms | ${trips} | ${row.megabytesPerSecond.toFixed(0)} MB/s | ${bulk} | ${row.connectMs.toFixed(1)} ms | ${cpu} | ${row.megabytesPerSecondWithCoresToSpare.toFixed(0)} MB/s |`,
    );
  }
  console.log("\n| AES-128-GCM in pieces of | seal, CPU ms per MB | open, CPU ms per MB |");
  console.log("| --- | --- | --- |");
  for (const { pieceBytes, sealMs, openMs } of ciphers)
    console.log(`| ${pieceBytes / 1024} KiB | ${sealMs.toFixed(2)} | ${openMs.toFixed(2)} |`);
}
