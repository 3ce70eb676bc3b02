import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Host } from "./harness/hosts.ts";
import { startNode, type TestNode } from "./harness/node.ts";

const MIB = 1024 * 1024;
const GROWTH_BYTES_MAX = 64 * MIB;
const GIB = 1024 * MIB;
const BRACKETS_BYTES = 100 * 1000 * 1000;
/** What a chat's body begins with, so that it is the length alone that is wrong with it. */
const BEGINNING = '{"model":"demo","messages":[{"role":"user","content":"';

/** This machine itself: who sends is in this process. */
const host: Host = { name: "alone", ownPorts: false, wrap: (command, args) => [command, args] };
let node: TestNode;
let api: URL;

beforeAll(async () => {
  node = await startNode(host, { args: ["--no-mdns", "--cluster", "memory"] });
  api = new URL(String((await node.event("ready"))["api"]));
  // What a first request loads stays loaded, and so does what a first large body takes.
  await send(["Content-Length: 2"], [Buffer.from("{}")]);
  await send(["Transfer-Encoding: chunked"], blocks(64 * MIB, chunked));
});
afterAll(() => node?.[Symbol.asyncDispose]());

/** The most memory the daemon has had at a time since it was last set back; bytes. */
function peakBytes(): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${node.pid}/status`, "utf8"))?.[1]) * 1024;
}

const chunked = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);

/** A body of so many bytes, a MiB at a time. */
function* blocks(bytes: number, frame = (block: Buffer): Buffer => block, fill = "x"): Generator<Buffer> {
  yield frame(Buffer.from(BEGINNING));
  const block = frame(Buffer.alloc(MIB, fill));
  for (let sent = 0; sent < bytes; sent += MIB) yield block;
}

/** Posts a chat, writing for as long as anyone reads; the status of the answer. */
async function send(headers: readonly string[], body: Iterable<Buffer>): Promise<number> {
  const socket = connect({ host: api.hostname, port: Number(api.port) });
  socket.on("error", () => undefined);
  let text = "";
  socket.on("data", (bytes: Buffer) => (text += bytes.toString()));
  const closed = once(socket, "close").catch(() => undefined);
  const lines = ["POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Connection: close"];
  socket.write([...lines, ...headers, "", ""].join("\r\n"));
  for (const block of body) {
    if (!socket.writable) break;
    if (!socket.write(block)) await Promise.race([once(socket, "drain").catch(() => undefined), closed]);
  }
  await closed;
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1]);
}

/** A gibibyte of spaces in a thousandth of that: one packed piece, again and again, which is gzip as well. */
function bomb(): Buffer {
  const piece = gzipSync(Buffer.alloc(16 * MIB, " "));
  return Buffer.concat(Array.from({ length: GIB / (16 * MIB) }, () => piece));
}

/** A body of nothing but brackets that open. */
function* brackets(bytes: number): Generator<Buffer> {
  const block = Buffer.alloc(MIB, "[");
  for (let sent = 0; sent < bytes; sent += MIB) yield block.subarray(0, Math.min(MIB, bytes - sent));
}

describe.skipIf(!existsSync("/proc/self/clear_refs"))("what hostile bodies cost the daemon", () => {
  test.each<readonly [string, number, () => Promise<readonly [readonly string[], Iterable<Buffer>]>]>([
    ["a gigabyte, and says so", 413, async () => [[`Content-Length: ${GIB}`], blocks(GIB)]],
    ["a gigabyte, and does not say so", 413, async () => [["Transfer-Encoding: chunked"], blocks(GIB, chunked)]],
    [
      "a gigabyte, packed",
      415,
      async () => {
        const packed = bomb();
        return [["Content-Encoding: gzip", `Content-Length: ${packed.length}`], [packed]];
      },
    ],
    ["100 MB of brackets", 413, async () => [[`Content-Length: ${BRACKETS_BYTES}`], brackets(BRACKETS_BYTES)]],
    // As many as a body may have: these are read, and refused for what they are.
    ["as many brackets as a body may have", 400, async () => [[`Content-Length: ${30 * MIB}`], brackets(30 * MIB)]],
  ])("%s: %i", async (_, status, make) => {
    const [headers, body] = await make();
    writeFileSync(`/proc/${node.pid}/clear_refs`, "5");
    const before = peakBytes();
    expect(await send(headers, body)).toBe(status);
    expect(peakBytes() - before).toBeLessThan(GROWTH_BYTES_MAX);
  });

  test("and it answers as before", async () => {
    expect(await send(["Content-Length: 2"], [Buffer.from("{}")])).toBe(400);
  });
});
