import { fc, test as property } from "@fast-check/vitest";
import { expect, test } from "vitest";
import { createUpstreamEvents } from "./upstream-events.ts";

/** Everything an upstream's bytes give, cut into chunks of these sizes. */
function eventsOf(bytes: Buffer, sizes: readonly number[] = []): { text: string; failure: unknown } {
  const events = createUpstreamEvents("far");
  const parts: Buffer[] = [];
  let at = 0;
  for (const size of [...sizes, bytes.length]) {
    parts.push(...events.push(bytes.subarray(at, (at += size))));
    if (events.failure !== null) break;
  }
  return { text: Buffer.concat(parts).toString(), failure: events.failure };
}

property.prop([
  fc.array(fc.dictionary(fc.string(), fc.string({ unit: "binary" })), { minLength: 1, maxLength: 5 }),
  fc.constantFrom("\n", "\r\n", "\r"),
  fc.constantFrom("data: ", "data:"),
  fc.array(fc.nat(20)),
])("whatever its lines end in and wherever its chunks are cut, its events are the same", (objects, newline, field, sizes) => {
  // What is called an error is one.
  const events = objects.map((object) => ({ object }));
  const lines = events.flatMap((event) => [": comment", "id: 3", `${field}${JSON.stringify(event)}`, ""]);
  const { text, failure } = eventsOf(Buffer.from([...lines, `${field}[DONE]`, "", ""].join(newline)), sizes);
  expect(failure).toBe(null);
  expect(text).toBe(`${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")}data: [DONE]\n\n`);
});

test("events keep their names, and data of several lines is one", () => {
  const { text } = eventsOf(Buffer.from('event: response.created\ndata: {"a":\ndata: 1}\n\nevent: x y\ndata: {}\n\n'));
  expect(text).toBe('event: response.created\ndata: {"a":1}\n\ndata: {}\n\n');
});

test.each([
  ["text", "data: hello\n\n"],
  ["a list", "data: []\n\n"],
  ["an error", 'data: {"error":{"message":"no"}}\n\n'],
])("what comes before %s is given", (_, bad) => {
  const { text, failure } = eventsOf(Buffer.from(`data: {"a":1}\n\n${bad}data: {"b":1}\n\n`));
  expect(text).toBe('data: {"a":1}\n\n');
  expect(failure).toMatchObject({ code: "upstream_failed" });
});
