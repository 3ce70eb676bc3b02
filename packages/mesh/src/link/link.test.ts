import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { loadCertificate } from "../data-plane/certificate.ts";
import { startDataPlane, type DataPlane } from "../data-plane/data-plane.ts";
import { answerLink } from "./answer-link.ts";
import {
  BURST,
  BURST_BYTES_MAX,
  encodeFrame,
  encodeHeader,
  laterQuartersOf,
  PING,
  PING_BYTES_MAX,
  PINGS_MAX,
} from "./link-frames.ts";
import { measureLink } from "./measure-link.ts";

const stack: AsyncDisposable[] = [];
afterEach(async () => {
  for (const item of stack.splice(0).reverse()) await item[Symbol.asyncDispose]();
});

const folder = await mkdtemp(join(tmpdir(), "clusterd-link-"));
async function plane(name: string): Promise<DataPlane> {
  const started = await startDataPlane({
    certificate: await loadCertificate(join(folder, `${name}.pem`)),
    listen: "127.0.0.1",
    port: 0,
  });
  stack.push(started);
  return started;
}

/** Bytes a slow wire lets through at once before its rate holds, as `tc tbf` does. */
const BUCKET_BYTES = 256 * 1024;
const TICK_MS = 2;

/** Passes what `from` sends at so many bytes per second, after a bucketful at once. */
function throttle(from: Socket, to: Socket, bytesPerSecond: number): void {
  const held: Buffer[] = [];
  let allowed = BUCKET_BYTES;
  let heldBytes = 0;
  let beforeMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    allowed = Math.min(BUCKET_BYTES, allowed + ((nowMs - beforeMs) * bytesPerSecond) / 1000);
    beforeMs = nowMs;
    while (allowed > 0 && held.length > 0) {
      const chunk = held.shift() ?? Buffer.alloc(0);
      const part = chunk.subarray(0, Math.ceil(allowed));
      if (part.length < chunk.length) held.unshift(chunk.subarray(part.length));
      allowed -= part.length;
      heldBytes -= part.length;
      to.write(part);
    }
    if (heldBytes < BUCKET_BYTES) from.resume();
  }, TICK_MS);
  from.on("data", (chunk: Buffer) => {
    held.push(chunk);
    heldBytes += chunk.length;
    if (heldBytes >= BUCKET_BYTES) from.pause();
  });
  for (const socket of [from, to]) {
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearInterval(timer);
      from.destroy();
      to.destroy();
    });
  }
}

/** A wire to a port, of one rate each way; bytes per second. */
async function slowWire(port: number, there: number, back: number): Promise<number> {
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    throttle(near, far, there);
    throttle(far, near, back);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.push({ [Symbol.asyncDispose]: async () => void server.close() });
  return (server.address() as AddressInfo).port;
}

const soon = (): AbortSignal => AbortSignal.timeout(15_000);

/** A socket from one data plane to an answering offer of another, over a port that may be a wire's. */
async function linkSocket(from: DataPlane, to: DataPlane, port: number): Promise<Socket> {
  const offer = to.offer({ peerFingerprint: from.fingerprint, target: answerLink, kind: "link", label: "test" });
  const { ticket } = offer;
  return from.connect({ address: "127.0.0.1", port, fingerprint: to.fingerprint, ticket, peerName: "peer", signal: soon() });
}

async function measured(from: DataPlane, to: DataPlane, port: number): Promise<Awaited<ReturnType<typeof measureLink>>> {
  const socket = await linkSocket(from, to, port);
  try {
    return await measureLink(socket, soon());
  } finally {
    socket.destroy();
  }
}

const MBIT = 125_000;

describe("a link's rate is told within 15 %", () => {
  test.each([
    ["10 Mbit/s", 10 * MBIT],
    ["50 Mbit/s", 50 * MBIT],
  ])("%s, whatever the bucket lets through at once", async (_, rate) => {
    const [a, b] = [await plane("a"), await plane("b")];
    const { bytesPerSecond } = await measured(a, b, await slowWire(b.port, rate, 1000 * MBIT));
    expect(bytesPerSecond / rate).toBeGreaterThan(0.85);
    expect(bytesPerSecond / rate).toBeLessThan(1.15);
  });

  test("each direction its own", async () => {
    const [a, b] = [await plane("a"), await plane("b")];
    const towardsB = await measured(a, b, await slowWire(b.port, 20 * MBIT, 200 * MBIT));
    const towardsA = await measured(b, a, await slowWire(a.port, 200 * MBIT, 20 * MBIT));
    expect(towardsA.bytesPerSecond / towardsB.bytesPerSecond).toBeGreaterThan(7);
    expect(towardsA.bytesPerSecond / towardsB.bytesPerSecond).toBeLessThan(13);
  });

  test("and the loopback is not taken for a slow one; its median trip is no shorter than its shortest", async () => {
    const [a, b] = [await plane("a"), await plane("b")];
    const found = await measured(a, b, b.port);
    expect(found.bytesPerSecond).toBeGreaterThan(200 * MBIT);
    expect(found.rttMsMin).toBeGreaterThan(0);
    expect(found.rttMs).toBeGreaterThanOrEqual(found.rttMsMin);
  });
});

describe("whoever asks too much is cut off", () => {
  const refused = async (send: (socket: Socket) => void): Promise<boolean> => {
    const [a, b] = [await plane("a"), await plane("b")];
    const socket = await linkSocket(a, b, b.port);
    socket.on("error", () => undefined);
    socket.resume();
    const closed = new Promise((done) => socket.once("close", done));
    send(socket);
    await closed;
    return true;
  };

  test.each<readonly [string, (socket: Socket) => void]>([
    ["a burst beyond the largest", (socket) => void socket.write(encodeHeader({ kind: BURST, length: BURST_BYTES_MAX + 1 }))],
    [
      "a ping that would be answered at length",
      (socket) => void socket.write(encodeHeader({ kind: PING, length: PING_BYTES_MAX + 1 })),
    ],
    ["an empty frame", (socket) => void socket.write(encodeHeader({ kind: PING, length: 0 }))],
    ["no frame of ours", (socket) => void socket.write(randomBytes(64).fill(9, 0, 1))],
    [
      "one ping more than a measurement has",
      (socket) => {
        for (let count = 0; count <= PINGS_MAX; count++) socket.write(encodeFrame(PING, Buffer.alloc(16)));
      },
    ],
  ])("%s", async (_, send) => {
    expect(await refused(send)).toBe(true);
  });

  test("bursts without end", async () => {
    let sent = 0;
    await refused((socket) => {
      const burst = encodeFrame(BURST, Buffer.alloc(1024 * 1024));
      const more = (error?: Error | null): void => {
        if (error || sent >= 64) return;
        sent++;
        socket.write(burst, more);
      };
      more();
    });
    expect(sent).toBeLessThan(64);
  });

  test("while a measurement that keeps to the rules is answered", async () => {
    const [a, b] = [await plane("a"), await plane("b")];
    const socket = await linkSocket(a, b, b.port);
    for (let count = 0; count < PINGS_MAX; count++) socket.write(encodeFrame(PING, Buffer.alloc(16)));
    let got = 0;
    while (got < PINGS_MAX * 21) got += ((await once(socket, "data", { signal: soon() })) as [Buffer])[0].length;
    expect(got).toBe(PINGS_MAX * 21);
    socket.destroy();
  });
});

describe("an answerer that lies", () => {
  /** A peer that answers pings as it should, and bursts with these figures. */
  async function liar(bytes: number, ms: number): Promise<Socket> {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      let [left, kind, length] = [0, 0, 0];
      socket.on("data", (chunk: Buffer) => {
        let rest = chunk;
        while (rest.length > 0) {
          if (left === 0)
            [kind, length, left, rest] = [rest.readUInt8(0), rest.readUInt32LE(1), rest.readUInt32LE(1), rest.subarray(5)];
          const part = Math.min(left, rest.length);
          left -= part;
          rest = rest.subarray(part);
          if (left > 0) continue;
          const figures = Buffer.alloc(32);
          [bytes, ms, bytes, ms].forEach((figure, index) => figures.writeDoubleLE(figure, index * 8));
          socket.write(kind === PING ? encodeFrame(PING, Buffer.alloc(length)) : encodeFrame(BURST, figures));
        }
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    stack.push({ [Symbol.asyncDispose]: async () => void server.close() });
    const wire = await slowWire((server.address() as AddressInfo).port, 20 * MBIT, 1000 * MBIT);
    return connect(wire, "127.0.0.1");
  }

  test("is believed no faster than twice what the asker saw itself", async () => {
    const socket = await liar(16 * 1024, 0.000_001);
    const found = await measureLink(socket, soon());
    socket.destroy();
    expect(found.bytesPerSecond).toBeLessThan(20 * MBIT * 4);
  });

  test.each([
    ["more bytes than there were", 1e9, 1],
    ["no number", Number.NaN, 1],
    ["a time that runs backwards", 1, -1],
  ])("with %s ends the measurement", async (_, bytes, ms) => {
    const socket = await liar(bytes, ms);
    await expect(measureLink(socket, soon())).rejects.toThrow(/plausible/);
    socket.destroy();
  });

  test("figures are checked against the burst's length", () => {
    const payload = Buffer.alloc(32);
    [10, 5, 6, 7].forEach((figure, index) => payload.writeDoubleLE(figure, index * 8));
    expect(laterQuartersOf(payload, 16)).toEqual([
      { bytes: 10, ms: 5 },
      { bytes: 6, ms: 7 },
    ]);
    expect(laterQuartersOf(payload, 15)).toBeNull();
  });
});

test("a measurement ends where it is stopped, and where the other end is gone", async () => {
  const [a, b] = [await plane("a"), await plane("b")];
  const stopped = await linkSocket(a, b, await slowWire(b.port, MBIT, MBIT));
  const stop = new AbortController();
  const outcome = expect(measureLink(stopped, stop.signal)).rejects.toThrow();
  stop.abort();
  await outcome;
  stopped.destroy();
  const gone = await linkSocket(a, b, b.port);
  gone.destroy();
  await expect(measureLink(gone, soon())).rejects.toThrow();
});
