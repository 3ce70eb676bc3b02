import { fc, test as property } from "@fast-check/vitest";
import { expect, test } from "vitest";
import { CACHE_ENTRY_OVERHEAD_BYTES, CACHE_ENTRY_SHARE_MAX } from "../limits.ts";
import { createAnswerCache, type AnswerCache, type AnswerRecording } from "./answer-cache.ts";

const KIB = 1024;

function keep(cache: AnswerCache, key: string, bytes: number): void {
  const recording = cache.record("text/plain");
  recording.add(Buffer.alloc(bytes, key));
  recording.finish(key);
}

property.prop([
  fc.integer({ min: KIB, max: 64 * KIB }),
  fc.array(fc.tuple(fc.constantFrom("add", "finish", "drop", "find"), fc.nat(9), fc.nat(8 * KIB)), { maxLength: 200 }),
])("whatever is recorded, kept and dropped, its bytes are within its limit and are given back", (bytesMax, steps) => {
  const cache = createAnswerCache(bytesMax);
  const open = new Map<number, AnswerRecording>();
  for (const [step, id, bytes] of steps) {
    const recording = open.get(id) ?? cache.record("text/plain");
    open.set(id, recording);
    if (step === "add") recording.add(Buffer.alloc(bytes));
    if (step === "finish") recording.finish(`key ${id}`);
    if (step === "drop") recording.drop();
    if (step === "finish" || step === "drop") open.delete(id);
    if (step === "find") cache.find(`key ${id}`);
    const idle = open.size * CACHE_ENTRY_OVERHEAD_BYTES;
    expect(cache.counts.bytes).toBeLessThanOrEqual(bytesMax + idle);
  }
  for (const recording of open.values()) recording.drop();
  const { entries, bytes } = cache.counts;
  expect(entries === 0).toBe(bytes === 0);
});

test("the answer that was not asked for the longest goes first", () => {
  const size = KIB - CACHE_ENTRY_OVERHEAD_BYTES;
  const cache = createAnswerCache(10 * KIB);
  for (let at = 0; at < 10; at += 1) keep(cache, `k${at}`, size);
  expect(cache.find("k0")?.bytes).toHaveLength(size);
  keep(cache, "new", size);
  expect([cache.find("k0") !== null, cache.find("k1"), cache.find("k2") !== null]).toEqual([true, null, true]);
  expect(cache.counts).toMatchObject({ hits: 3, misses: 1, entries: 10, bytes: 10 * KIB });
});

test("an answer that would take more than its share is not kept, one that just fits is", () => {
  const cache = createAnswerCache(64 * KIB);
  const most = 64 * KIB * CACHE_ENTRY_SHARE_MAX - CACHE_ENTRY_OVERHEAD_BYTES;
  keep(cache, "large", most + 1);
  keep(cache, "fits", most);
  expect([cache.find("large"), cache.find("fits") !== null]).toEqual([null, true]);
  expect(cache.counts.bytes).toBe(most + CACHE_ENTRY_OVERHEAD_BYTES);
});
