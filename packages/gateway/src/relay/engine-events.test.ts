import { fc, test as property } from "@fast-check/vitest";
import { expect, test } from "vitest";
import { ENGINE_EVENT_BYTES_MAX } from "../limits.ts";
import { createEventSplitter, eventJson, type EngineEvent } from "./engine-events.ts";

const event = fc.oneof(
  fc.jsonValue().map((value) => `data: ${JSON.stringify({ choices: [value] })}\n\n`),
  fc.jsonValue().map((value) => `event: content_block_delta\ndata: ${JSON.stringify({ delta: value })}\n\n`),
  fc.constantFrom(": ping\n\n", ":\n\n", "data: [DONE]\n\n", "data: null\n\n", "\n\n"),
);

function split(text: string, cuts: readonly number[]): readonly EngineEvent[] {
  const bytes = Buffer.from(text);
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const splitter = createEventSplitter();
  let from = 0;
  return [...places, bytes.length].flatMap((to) => {
    const events = splitter.push(bytes.subarray(from, to));
    from = to;
    return [...events];
  });
}

property.prop([fc.array(event, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 12 })])(
  "however the bytes are cut, the events are the same and no byte is lost",
  (events, cuts) => {
    const found = split(events.join(""), cuts);
    expect(found.map(({ bytes }) => bytes.toString())).toEqual(events);
    expect(found.some(({ kind }) => kind === "garbled")).toBe(false);
  },
);

const kinds = (text: string): readonly string[] => split(text, []).map(({ kind }) => kind);

test("events are told apart", () => {
  expect(kinds('data: {"choices":[]}\n\n')).toEqual(["chunk"]);
  expect(kinds('data: {"error":{"code":500}}\n\n')).toEqual(["error"]);
  expect(kinds('data: {"choices":[{"delta":{"content":"{\\"error\\""}}]}\n\n')).toEqual(["chunk"]);
  expect(kinds('data: {"choices":[\n\n')).toEqual(["garbled"]);
  expect(kinds("HTTP/1.1 200 OK\n\n")).toEqual(["garbled"]);
  expect(kinds("data: null\n\ndata: [DONE]\n\n")).toEqual(["empty", "done"]);
});

test("named events too, and those that end their stream", () => {
  const named = (name: string, data = '{"type":"x"}'): string => `event: ${name}\ndata: ${data}\n\n`;
  expect(kinds(named("message_start") + named("message_stop"))).toEqual(["chunk", "last"]);
  expect(kinds(named("response.completed") + named("error"))).toEqual(["last", "error"]);
  expect(kinds(named("message_delta", '{"type":') + named("x".repeat(200)))).toEqual(["garbled", "garbled"]);
  const [event] = split(named("message_start"), []);
  expect(event?.name).toBe("message_start");
  expect(event === undefined ? null : eventJson(event)).toEqual({ type: "x" });
});

test("an event without end is given up at its limit", () => {
  const splitter = createEventSplitter();
  const block = Buffer.alloc(1024 * 1024, "a");
  let garbled = 0;
  for (let sent = 0; sent < ENGINE_EVENT_BYTES_MAX + block.length; sent += block.length) {
    garbled += splitter.push(block).filter(({ kind }) => kind === "garbled").length;
  }
  expect(garbled).toBe(1);
  expect(splitter.pendingBytes).toBeLessThanOrEqual(ENGINE_EVENT_BYTES_MAX);
});

test("how much of a prompt is worked off is told from what is answered", () => {
  const progress = '"prompt_progress":{"total":960,"cache":0,"processed":512,"time_ms":1234.5}';
  expect(kinds(`data: {"choices":[{"delta":{"role":"assistant","content":null}}],${progress}}\n\n`)).toEqual(["progress"]);
  const quoted = JSON.stringify({ choices: [{ delta: { content: `{"a":1,${progress}}` } }] });
  expect(kinds(`data: ${quoted}\n\n`)).toEqual(["chunk"]);
});
