import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { LINE_BYTES_MAX, TAIL_CHARACTERS_MAX, TAIL_LINES_MAX } from "./process-limits.ts";
import { superviseProcess, type ProcessSpec, type SupervisedProcess } from "./supervise.ts";

const fixture = (name: string): string => fileURLToPath(new URL(`../../../../test/fixtures/engines/${name}`, import.meta.url));
const never = new AbortController().signal;

const start = (script: string, args: readonly string[] = [], more: Partial<ProcessSpec> = {}): SupervisedProcess =>
  superviseProcess({
    name: script,
    command: process.execPath,
    args: [fixture(script), ...args],
    isReady: (line) => line === "ready",
    start: { totalMs: 20_000, quietMs: 20_000 },
    ...more,
  });

test("tells every state it goes through", async () => {
  await using child = start("obeys.mjs");
  const seen: string[] = [child.state.kind];
  child.onChange((state) => seen.push(state.kind));
  await child.whenReady(never);
  await child.stop();
  expect(seen).toEqual(["starting", "ready", "stopping", "ended"]);
  expect(child.state).toEqual({ kind: "ended", code: 0, signal: null, wanted: true });
});

test("one that ends before it is ready says how, with its last words", async () => {
  await using child = start("exits.mjs", ["3"]);
  await expect(child.whenReady(never)).rejects.toMatchObject({
    code: "engine_crashed",
    message: expect.stringContaining("status 3") as string,
  });
  await expect(child.whenReady(never)).rejects.toThrow("last");
});

test("one that is not there is said to be missing", async () => {
  await using child = start("", [], { command: "/nowhere/engine" });
  await expect(child.whenReady(never)).rejects.toMatchObject({ code: "engine_missing" });
});

test("one that says nothing is given up after the quiet time, and ended", async () => {
  await using child = start("silent.mjs", [], { start: { totalMs: 60_000, quietMs: 150 } });
  await expect(child.whenReady(never)).rejects.toMatchObject({
    code: "timeout",
    message: expect.stringContaining("said nothing") as string,
  });
  expect(child.state.kind).toBe("ended");
});

test("one that talks on without being ready is given up after the whole time", async () => {
  // Long enough for it to have begun to talk, however busy the machine is.
  await using child = start("babbles.mjs", [], { start: { totalMs: 6_000, quietMs: 60_000 } });
  await expect(child.whenReady(never)).rejects.toMatchObject({
    code: "timeout",
    message: expect.stringContaining("not ready") as string,
  });
  expect(child.logTail).toContain("still at it");
});

test("an aborted wait ends it", async () => {
  const abort = new AbortController();
  await using child = start("silent.mjs");
  const waiting = child.whenReady(abort.signal);
  abort.abort();
  await expect(waiting).rejects.toMatchObject({ code: "interrupted" });
  expect(await child.ended).toMatchObject({ wanted: true });
});

test("a flood stays within the limits, and every line reaches the listener", async () => {
  const lines: string[] = [];
  await using child = start("floods.mjs", [], { onLine: (line) => lines.push(line) });
  expect(await child.ended).toMatchObject({ code: 0 });
  expect(lines).toHaveLength(20_003);
  expect(lines[1]).toBe(`${"x".repeat(LINE_BYTES_MAX)} [${5_000_000 - LINE_BYTES_MAX} more bytes]`);
  expect(lines[20_001]).toBe("line 19999");
  expect(lines.at(-1)).toBe("\\x1b[2J\\u202egnp");
  expect(child.logTail.length).toBeLessThanOrEqual(TAIL_LINES_MAX);
  expect(child.logTail.join("").length).toBeLessThanOrEqual(TAIL_CHARACTERS_MAX);
  expect(child.logTail).toEqual(lines.slice(-child.logTail.length));
});

test("stopping what has ended changes nothing", async () => {
  await using child = start("exits.mjs", ["0"]);
  const end = await child.ended;
  expect(await child.stop()).toEqual(end);
  expect(end.wanted).toBe(false);
});
