import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { fc, test } from "@fast-check/vitest";
import { afterEach, expect } from "vitest";
import { readSocket } from "./socket-reader.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A stream read as a socket is. */
const streamed = (): PassThrough & Socket => new PassThrough({ highWaterMark: 64 * 1024 }) as unknown as PassThrough & Socket;

const pieces = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("line" as const), text: fc.stringMatching(/^[ -~]{0,200}$/u) }),
    fc.record({
      kind: fc.constant("bytes" as const),
      bytes: fc.uint8Array({ maxLength: 3_000 }).map((some) => Buffer.from(some)),
    }),
  ),
  { maxLength: 12 },
);

test.prop({ pieces, cuts: fc.infiniteStream(fc.integer({ min: 1, max: 700 })) })(
  "lines and bytes are read as they were written, however they come",
  async ({ pieces: all, cuts }) => {
    const stream = streamed();
    const reader = readSocket(stream);
    const whole = Buffer.concat(all.map((piece) => (piece.kind === "line" ? Buffer.from(`${piece.text}\n`) : piece.bytes)));
    for (let at = 0; at < whole.length;) {
      const length = cuts.next().value ?? 1;
      stream.write(Buffer.from(whole.subarray(at, at + length)));
      at += length;
    }
    stream.end();
    for (const piece of all) {
      if (piece.kind === "line") expect(await reader.line()).toBe(piece.text);
      else {
        const target = Buffer.alloc(piece.bytes.length);
        expect(await reader.fill(target)).toBe(true);
        expect(target.equals(piece.bytes)).toBe(true);
      }
    }
    expect(await reader.line()).toBeNull();
    expect(await reader.fill(Buffer.alloc(1))).toBe(false);
  },
);

test("a line without an end is refused after so many bytes", async () => {
  const stream = streamed();
  const reader = readSocket(stream);
  stream.write("x".repeat(300));
  await expect(reader.line()).rejects.toThrow(/too long/u);
});

test("what nobody asks for stays with who sends it", async () => {
  const server = createServer((socket) => {
    const piece = randomBytes(64 * 1024);
    const more = (): void => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on("error", () => {}).on("drain", more);
    more();
    socket.once("close", () => (sent = socket.bytesWritten));
  });
  let sent = 0;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ends.push(() => server.close());
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const reader = readSocket(socket);
  await once(socket, "connect");
  expect(await reader.fill(Buffer.alloc(1_000))).toBe(true);
  await new Promise((done) => setTimeout(done, 300));
  // A stream's own buffer, and what the system handed over at once.
  expect(socket.bytesRead).toBeLessThan(1024 * 1024);
  // The control: asked for, it comes.
  expect(await reader.fill(Buffer.alloc(16 * 1024 * 1024))).toBe(true);
  socket.destroy();
  await expect.poll(() => sent).toBeGreaterThan(16 * 1024 * 1024);
});
