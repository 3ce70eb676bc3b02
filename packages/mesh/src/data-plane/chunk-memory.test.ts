import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createChunkMemory } from "./chunk-memory.ts";
import { joinSockets, type Interceptor, type Wires } from "./join-sockets.ts";

const stack: AsyncDisposable[] = [];
afterEach(async () => {
  for (const item of stack.splice(0).reverse()) await item[Symbol.asyncDispose]();
});
async function serve(onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, onConnection).listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.push({ [Symbol.asyncDispose]: async () => void server.close() });
  return (server.address() as AddressInfo).port;
}

const way = (givenBytes: number, writtenBytes: number) => ({ givenBytes, writtenBytes });
const chunkOf = (bytes: number): Buffer => Buffer.from(new ArrayBuffer(bytes));

test("memory is given back after the last write of it, not before, and only where it is the chunk's alone", () => {
  const [up, down] = [way(0, 0), way(0, 0)];
  const memory = createChunkMemory([up, down]);
  const [first, second] = [chunkOf(100), chunkOf(50)];
  up.givenBytes = 90;
  down.givenBytes = 10;
  memory.release(first);
  up.givenBytes = 140;
  memory.release(second);
  up.writtenBytes = 89;
  down.writtenBytes = 10;
  memory.sweep();
  expect(first.length).toBe(100);
  up.writtenBytes = 90;
  down.writtenBytes = 9;
  memory.sweep();
  expect(first.length).toBe(100);
  down.writtenBytes = 10;
  memory.sweep();
  expect([first.length, second.length]).toEqual([0, 50]);
  up.writtenBytes = 140;
  memory.sweep();
  expect(second.length).toBe(0);

  const unwritten = chunkOf(100);
  memory.release(unwritten);
  expect(unwritten.length).toBe(0);

  const whole = chunkOf(100);
  memory.release(whole.subarray(0, 50));
  expect(whole.length).toBe(100);
});

test("chunks that wait for a side that takes nothing are few", () => {
  const stuck = way(1, 0);
  const memory = createChunkMemory([stuck]);
  const chunks = Array.from({ length: 10_000 }, () => chunkOf(8));
  for (const chunk of chunks) memory.release(chunk);
  stuck.writtenBytes = 1;
  memory.sweep();
  const given = chunks.map((chunk, index) => (chunk.length === 0 ? index : -1)).filter((index) => index >= 0);
  expect(given.length).toBeLessThanOrEqual(256);
  expect(given[0]).toBe(chunks.length - given.length);
});

/** Passes everything on in pieces, later ones after a pause, as a relay that looks at frames does. */
function slicing(copiesWhatItKeeps: boolean, seen: Buffer[]): Interceptor {
  let wires: Wires;
  const cut = (chunk: Buffer, to: (bytes: Buffer) => void): void => {
    const half = chunk.length >> 1;
    to(chunk.subarray(0, half));
    to(chunk.subarray(half));
  };
  return {
    copiesWhatItKeeps,
    begin: (given) => void (wires = given),
    async fromLocal(chunk) {
      seen.push(chunk);
      await new Promise((done) => setImmediate(done));
      cut(chunk, wires.toRemote);
    },
    fromRemote: (chunk) => cut(chunk, wires.toLocal),
    ended: () => undefined,
  };
}

test.each([true, false])("an interceptor that copies what it keeps (%s): bytes arrive unchanged both ways", async (copies) => {
  const seen: Buffer[] = [];
  const far = await serve((socket) => void socket.pipe(socket));
  const near = await serve((socket) => {
    const remote = connect({ port: far, host: "127.0.0.1", allowHalfOpen: true });
    void joinSockets(socket, remote, { sent: 0, received: 0 }, slicing(copies, seen));
  });
  const sent = randomBytes(24 * 1024 * 1024);
  const socket = connect(near, "127.0.0.1");
  socket.end(sent);
  const hash = createHash("sha256");
  for await (const chunk of socket) hash.update(chunk as Buffer);
  expect(hash.digest("hex")).toBe(createHash("sha256").update(sent).digest("hex"));
  expect(seen.length).toBeGreaterThan(10);
  // Who does not say that it copies keeps what it was given.
  expect(seen.every((chunk) => (chunk.length === 0) === copies)).toBe(true);
});

test("a socket destroyed over writes in flight: no memory is given back under the system's hands", async () => {
  for (let round = 0; round < 20; round += 1) {
    let got = 0;
    const far = await serve((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", (chunk: Buffer) => {
        got += chunk.length;
        // A stream of one byte value: anything else would be memory of somebody else.
        if (chunk[0] !== 7 || chunk[chunk.length - 1] !== 7) throw new Error("other bytes came");
        if (got > 4_000_000) socket.resetAndDestroy();
      });
    });
    let joined: Promise<Error | null> | undefined;
    const near = await serve((socket) => {
      const remote = connect({ port: far, host: "127.0.0.1", allowHalfOpen: true });
      joined = joinSockets(socket, remote, { sent: 0, received: 0 });
    });
    const socket = connect(near, "127.0.0.1").on("error", () => undefined);
    const closed = new Promise((done) => socket.once("close", done));
    const piece = Buffer.alloc(1024 * 1024, 7);
    const more = (): void => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on("drain", more);
    more();
    await closed;
    expect(await joined).not.toBeNull();
    expect(got).toBeGreaterThan(4_000_000);
  }
});
