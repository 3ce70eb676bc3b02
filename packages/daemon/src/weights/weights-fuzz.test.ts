import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { fc, test as property } from "@fast-check/vitest";
import { ClusterdError } from "@clusterd/wire";
import { afterAll, expect, test } from "vitest";
import { memberWeights } from "./member-weights.ts";
import { readSocket } from "./socket-reader.ts";
import { parseAnswer, parseAsk, parseSlice } from "./weight-lines.ts";

const runs = { numRuns: 3000 };
const { signal } = new AbortController();
const fields = fc.dictionary(
  fc.constantFrom("want", "index", "bytes", "missing", "plain", "sent", "packed", "__proto__", "x"),
  fc.oneof(
    fc.constantFrom("map", "block", "header", "digest", 0, -1, 1.5, 2 ** 53, 1e300, true, null),
    fc.jsonValue({ maxDepth: 1 }),
  ),
);
const line = fc.oneof(
  fields.map((value) => JSON.stringify(value)),
  fc.json({ maxDepth: 2 }),
  fc.string({ maxLength: 200 }),
);

property.prop([line, fc.nat(1_000_000)], runs)("a line says what it must, within what it may, or nothing", (text, bytesMax) => {
  const ask = parseAsk(text);
  if (ask !== null && "index" in ask) expect(Number.isSafeInteger(ask.index) && ask.index >= 0).toBe(true);
  const answer = parseAnswer(text, bytesMax);
  if (answer !== null && "bytes" in answer) expect(answer.bytes >= 0 && answer.bytes <= bytesMax).toBe(true);
  const slice = parseSlice(text, bytesMax);
  if (slice !== null) expect(slice.sent > 0 && slice.sent <= slice.plain && slice.plain <= bytesMax).toBe(true);
});

let reply: (socket: Socket) => void = () => undefined;
const server = createServer((socket) => {
  socket.on("error", () => socket.destroy());
  reply(socket);
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
afterAll(() => server.close());
const { port } = server.address() as AddressInfo;
const dial = (): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket));
    socket.once("error", reject);
  });

const bytes = fc.uint8Array({ maxLength: 400 });
property.prop(
  [fc.array(bytes, { maxLength: 6 }), fc.array(fc.oneof(fc.constant("line"), fc.nat(600)), { minLength: 1, maxLength: 6 })],
  { numRuns: 300 },
)("whatever comes in whatever pieces: lines and bytes in their order, its end, or a refusal in words", async (pieces, asks) => {
  reply = (socket) => {
    for (const piece of pieces) socket.write(piece);
    socket.end();
  };
  const all = Buffer.concat(pieces);
  const socket = await dial();
  const reader = readSocket(socket);
  let at = 0;
  try {
    for (const ask of asks) {
      if (typeof ask === "string") {
        const end = all.indexOf(10, at);
        const got = await reader.line();
        expect(got).toBe(end < 0 ? null : all.toString("utf8", at, end));
        if (got === null) break;
        at = end + 1;
      } else {
        const target = Buffer.alloc(ask);
        const isThere = await reader.fill(target);
        expect(isThere).toBe(all.length - at >= target.length);
        if (!isThere) break;
        expect(target.equals(all.subarray(at, at + target.length))).toBe(true);
        at += target.length;
      }
    }
  } catch (error) {
    expect(error).toMatchObject({ name: "ClusterdError", code: "invalid_request" });
  }
  socket.destroy();
});

const mapJson = fc.record(
  {
    names: fc.oneof(
      fc.array(fc.oneof(fc.string({ maxLength: 20 }), fc.constant("../../x")), { maxLength: 4 }),
      fc.jsonValue({ maxDepth: 1 }),
    ),
    partBytes: fc.oneof(
      fc.array(fc.constantFrom(1, 0, -1, 1.5, 2 ** 53, "5", null), { maxLength: 4 }),
      fc.jsonValue({ maxDepth: 1 }),
    ),
    present: fc.oneof(fc.base64String({ maxLength: 60 }), fc.jsonValue({ maxDepth: 1 })),
  },
  { requiredKeys: [] },
);
const answers = fc.array(
  fc.oneof(
    line.map((text) => Buffer.from(`${text}\n`)),
    bytes.map((piece) => Buffer.from(piece)),
    mapJson.map(wrapped),
  ),
  { maxLength: 4 },
);

/** A whole answer, as a member gives it. */
function wrapped(value: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(value));
  return Buffer.concat([
    Buffer.from(`${JSON.stringify({ bytes: body.length })}\n${JSON.stringify({ plain: body.length, sent: body.length })}\n`),
    body,
  ]);
}

property.prop([answers], { numRuns: 300 })("a member that answers anything: what it has, or a refusal in words", async (sent) => {
  reply = (socket) => {
    socket.once("data", () => socket.end(Buffer.concat(sent)));
  };
  await using member = memberWeights("other", dial);
  const block = { index: 3, part: 0, position: 0, bytes: 64, group: 0 };
  for (const ask of [() => member.headers(signal), () => member.digest(block, signal), () => member.source.read(block, signal)]) {
    try {
      const answer = await ask();
      if (answer !== null && typeof answer === "object" && "partBytes" in answer) {
        expect(answer.names.every((name) => typeof name === "string")).toBe(true);
        expect(answer.partBytes.every((count) => Number.isSafeInteger(count) && count > 0)).toBe(true);
      }
    } catch (error) {
      expect(error, String(error)).toBeInstanceOf(ClusterdError);
    }
  }
  expect(typeof member.has(block)).toBe("boolean");
});

test("an answer that says it is huge takes no memory before it comes", async () => {
  const before = process.memoryUsage().rss;
  for (const text of [
    '{"bytes":9007199254740991}',
    '{"bytes":67108865}',
    '{"bytes":67108864}\n{"plain":67108864,"sent":67108864}',
  ]) {
    reply = (socket) => socket.end(`${text}\n`);
    await using member = memberWeights("other", dial);
    await expect(member.headers(signal)).rejects.toBeInstanceOf(ClusterdError);
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
});
