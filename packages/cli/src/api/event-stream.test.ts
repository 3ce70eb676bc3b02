import { expect } from "vitest";
import { fc, test } from "@fast-check/vitest";
import { readEvents, type ServerEvent } from "./event-stream.ts";

async function* inPieces(text: string, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let start = 0;
  for (const end of [...ends, bytes.length]) {
    yield bytes.subarray(start, end);
    start = end;
  }
}

async function readAll(text: string, cuts: readonly number[] = []): Promise<ServerEvent[]> {
  const events: ServerEvent[] = [];
  for await (const event of readEvents(inPieces(text, cuts))) events.push(event);
  return events;
}

test("events have their names; comments and an unfinished end are passed over", async () => {
  expect(await readAll(': hello\n\nevent: state\ndata: {"a":1}\n\ndata: x\ndata: y\n\ndata: lost')).toEqual([
    { event: "state", data: '{"a":1}' },
    { event: "message", data: "x\ny" },
  ]);
});

test.prop([fc.array(fc.nat(), { maxLength: 8 }), fc.constantFrom("\n", "\r\n")])(
  "however the bytes are cut, the events are the same",
  async (cuts, lineBreak) => {
    const text = ["event: state", "data: Grüße 🙂", "", "data: [DONE]", "", ""].join(lineBreak);
    expect(await readAll(text, cuts)).toEqual([
      { event: "state", data: "Grüße 🙂" },
      { event: "message", data: "[DONE]" },
    ]);
  },
);
