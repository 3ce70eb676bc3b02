import { fc, test as property } from "@fast-check/vitest";
import {
  asNodeId,
  ClusterdError,
  LOG_LINE_LENGTH_MAX,
  LOG_PAGE_CHARACTERS_MAX,
  LOG_PAGE_LINES_MAX,
  type LogEvent,
} from "@clusterd/wire";
import { expect, test } from "vitest";
import { createLogRing, LOG_LINES_MAX } from "./log-ring.ts";
import { createLogReader, FOLLOWERS_MAX } from "./read-logs.ts";
import { createLogServer, LOG_ASKS_PER_MEMBER_MAX } from "./serve-logs.ts";

const SELF = asNodeId("self");
const OTHER = asNodeId("other");
const named = (node: typeof SELF): { node: typeof SELF; name: string } => ({ node, name: node });
const message = (line: string): string => line.slice(line.indexOf(" ") + 1);

property.prop(
  [fc.integer({ min: 0, max: 3 * LOG_LINES_MAX }), fc.integer({ min: 1, max: 3_000 }), fc.integer({ min: 1, max: 2_000 })],
  {
    numRuns: 20,
  },
)("pages tell every line that is kept, once and in order", (count, asked, length) => {
  const ring = createLogRing();
  for (let index = 0; index < count; index++) ring.add(`${index}:${"x".repeat(length)}`);
  const told: number[] = [];
  let from: number | null = null;
  for (;;) {
    const page = ring.page(from, asked - told.length);
    expect(page.lines.length).toBeLessThanOrEqual(LOG_PAGE_LINES_MAX);
    expect(page.lines.join("").length).toBeLessThanOrEqual(LOG_PAGE_CHARACTERS_MAX);
    told.push(...page.lines.map((line) => Number(message(line).split(":")[0])));
    from = page.next;
    if (page.lines.length === 0 || told.length >= asked) break;
  }
  const expected = Math.min(count, asked, LOG_LINES_MAX);
  expect(told).toEqual(Array.from({ length: expected }, (_, index) => count - expected + index));
  expect(from).toBe(count);
});

test("lines that are kept no more are counted; a number of another run begins anew", () => {
  const ring = createLogRing();
  for (let index = 0; index < LOG_LINES_MAX + 10; index++) ring.add("x");
  expect(ring.page(3, 1)).toMatchObject({ missed: 7, next: 11 });
  expect(ring.page(1e9, 1)).toMatchObject({ missed: 10, next: 11 });
});

test("what a line could do to a terminal is visible in it, and no line is without end", () => {
  const ring = createLogRing();
  ring.add("a\u001b[2Jb\nc\u202ed");
  ring.add("y".repeat(10 * LOG_LINE_LENGTH_MAX));
  const [first = "", second = ""] = ring.last(2);
  expect(message(first)).toBe("a\\x1b[2Jb\\x0ac\\u{202e}d");
  expect(second).toHaveLength(LOG_LINE_LENGTH_MAX);
  expect(second.at(-1)).toBe("…");
});

async function take(events: AsyncGenerator<LogEvent, void>, lines: number): Promise<readonly string[]> {
  const told: string[] = [];
  while (told.length < lines) {
    const { value, done } = await events.next();
    if (done === true) break;
    if (value.event === "lines") told.push(...value.lines.map(message));
  }
  return told;
}

test("a member's log is followed by asking it again and again, until the way to it is gone", async () => {
  const log = createLogRing();
  const server = createLogServer(log);
  let isThere = true;
  const reader = createLogReader({
    self: SELF,
    log: createLogRing(),
    async ask(to, request, { signal }) {
      expect(to).toBe(OTHER);
      if (!isThere) throw new ClusterdError("failed", "The other side closed the connection.");
      return server.answer(SELF, request, signal);
    },
  });
  for (let index = 0; index < LOG_PAGE_LINES_MAX + 5; index++) log.add(`${index}`);
  expect((await reader.last(named(OTHER), 3)).map(message)).toEqual(["502", "503", "504"]);
  expect(await reader.last(named(OTHER), LOG_LINES_MAX)).toHaveLength(505);
  const events = reader.follow(named(OTHER), 1, new AbortController().signal);
  expect(await take(events, 1)).toEqual(["504"]);
  setTimeout(() => log.add("new"), 200);
  expect(await take(events, 1)).toEqual(["new"]);
  isThere = false;
  const { value } = await events.next();
  expect(value).toMatchObject({
    event: "failed",
    error: { code: "shards_unreachable", message: expect.stringMatching(/log of other .* closed/) as string },
  });
  expect((await events.next()).done).toBe(true);
});

test("who follows is a few; one that goes makes room at once, and leaves nothing waiting", async () => {
  const log = createLogRing();
  const reader = createLogReader({ self: SELF, log, ask: () => Promise.reject(new Error("not asked")) });
  const aborts = Array.from({ length: FOLLOWERS_MAX }, () => new AbortController());
  log.add("x");
  const all = aborts.map((abort) => reader.follow(named(SELF), 1, abort.signal));
  for (const events of all) expect(await take(events, 1)).toEqual(["x"]);
  await expect(reader.follow(named(SELF), 1, new AbortController().signal).next()).rejects.toMatchObject({ code: "queue_full" });
  const pending = all[0]?.next();
  aborts[0]?.abort();
  // What comes while it goes may be told once more; then it has ended.
  if ((await pending)?.done !== true) expect((await all[0]?.next())?.done).toBe(true);
  expect(await take(reader.follow(named(SELF), 1, new AbortController().signal), 1)).toEqual(["x"]);
});

test("a member has so many asks at once, and an asker that is gone is not waited for", async () => {
  const log = createLogRing();
  const server = createLogServer(log);
  const gone = new AbortController();
  const ask = (from: typeof SELF): Promise<unknown> => server.answer(from, { from: 0, lines: 1, wait: true }, gone.signal);
  const waiting = Array.from({ length: LOG_ASKS_PER_MEMBER_MAX }, () => ask(OTHER));
  await expect(ask(OTHER)).rejects.toMatchObject({ code: "queue_full" });
  const another = ask(SELF);
  gone.abort();
  expect(await Promise.all([...waiting, another])).toHaveLength(LOG_ASKS_PER_MEMBER_MAX + 1);
  expect(await server.answer(OTHER, { from: null, lines: 1, wait: false }, new AbortController().signal)).toEqual({
    lines: [],
    next: 0,
    missed: 0,
  });
});
