import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { createOutlet } from "./outlet.ts";

test.each([
  ["one small piece", [100]],
  ["pieces of a message", [9, 300, 16]],
  ["records and what ends their message", [16_384, 16_384, 5]],
  ["nothing but full records", [16_384, 16_384, 16_384]],
])("%s of a turn leave in one write, in order, and are written once it is done", async (_, sizes) => {
  for (const turn of [true, false]) {
    const writes: number[] = [];
    const heard: Buffer[] = [];
    const to = new Duplex({
      read: () => undefined,
      write: (bytes: Buffer, _encoding, done) => {
        heard.push(bytes);
        writes.push(1);
        setImmediate(done);
      },
      writev: (pieces, done) => {
        for (const { chunk } of pieces as { chunk: Buffer }[]) heard.push(chunk);
        writes.push(pieces.length);
        setImmediate(done);
      },
    });
    let counted = 0;
    const outlet = createOutlet(to as Socket, (bytes) => (counted += bytes));
    const pieces = sizes.map((size) => randomBytes(size));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (turn) outlet.openTurn();
    for (const piece of pieces) outlet.write(piece);
    expect(writes).toEqual([]);
    expect([outlet.givenBytes, outlet.writtenBytes, counted]).toEqual([total, 0, total]);
    if (turn) outlet.closeTurn();
    await expect.poll(() => outlet.writtenBytes).toBe(total);
    expect(writes).toEqual([sizes.length]);
    expect(Buffer.concat(heard).equals(Buffer.concat(pieces))).toBe(true);
    // What is said last goes before the end.
    outlet.write(pieces[0] as Buffer);
    outlet.end();
    await once(to, "finish");
    expect(Buffer.concat(heard).length).toBe(total + (sizes[0] ?? 0));
    to.destroy();
    expect(outlet.writtenBytes).toBe(0);
  }
});
