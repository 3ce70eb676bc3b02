import { fc, test } from "@fast-check/vitest";
import { asNodeId, SETTINGS_MAX, SETTINGS_REMOVED_MAX, type SettingEntry } from "@clusterd/wire";
import { expect } from "vitest";
import { digestOf, isOverfull, merged, NO_SETTINGS, settingsOf, withSetting, type Settings } from "./merge-settings.ts";

const NODE = asNodeId("a");

const entry: fc.Arbitrary<SettingEntry> = fc.record({
  key: fc.constantFrom("key/1", "key/2", "alias/a", "alias/b", "alias/c"),
  json: fc.constantFrom("1", "2", '{"a":[]}', null),
  version: fc.integer({ min: 1, max: 12 }),
  node: fc.constantFrom(asNodeId("a"), asNodeId("b")),
});
const settings: fc.Arbitrary<Settings> = fc
  .record({ floor: fc.integer({ min: 0, max: 8 }), entries: fc.array(entry, { maxLength: 8 }) })
  .map(settingsOf);

function alike(a: Settings, b: Settings): void {
  expect(digestOf(a)).toBe(digestOf(b));
}

test.prop([settings, settings])("merging is commutative", (a, b) => {
  alike(merged(a, b), merged(b, a));
});

test.prop([settings, settings, settings])("merging is associative", (a, b, c) => {
  alike(merged(merged(a, b), c), merged(a, merged(b, c)));
});

test.prop([settings, settings])("merging is idempotent", (a, b) => {
  alike(merged(a, a), a);
  alike(merged(merged(a, b), b), merged(a, b));
});

test.prop([settings, settings])("a removal wins over everything older", (a, b) => {
  const removed = withSetting(merged(a, b), "key/1", null, NODE);
  for (const side of [a, b]) expect(merged(removed, side).entries.get("key/1")?.json).toBeNull();
});

test.prop([settings, fc.constantFrom("key/1", "key/2"), fc.constantFrom("7", null)])(
  "what is set is known, and later than all before",
  (a, key, json) => {
    const next = withSetting(a, key, json, NODE);
    expect(next.entries.get(key)?.json).toBe(json);
    alike(merged(a, next), next);
  },
);

/** One node's changes: keys set or removed, one after another. */
const changes = fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom("1", "2", null)), { maxLength: 12 });

test.prop([changes, changes, fc.array(fc.boolean(), { maxLength: 24 })])(
  "two nodes that change and meet in any order end up alike",
  (left, right, meets) => {
    let a = NO_SETTINGS;
    let b = NO_SETTINGS;
    for (const [at, meet] of meets.entries()) {
      const [x, y] = [left[at], right[at]];
      if (x !== undefined) a = withSetting(a, x[0], x[1], asNodeId("a"));
      if (y !== undefined) b = withSetting(b, y[0], y[1], asNodeId("b"));
      if (meet) a = b = merged(a, b);
    }
    alike(merged(a, b), merged(b, a));
  },
);

test("removals are forgotten beyond the limit, and what they removed stays so", () => {
  const old = withSetting(NO_SETTINGS, "key/old", "1", NODE);
  let now = withSetting(old, "key/kept", "1", NODE);
  now = withSetting(now, "key/old", null, NODE);
  for (let at = 0; at < SETTINGS_REMOVED_MAX + 5; at++) {
    now = withSetting(now, `key/${at}`, "1", NODE);
    now = withSetting(now, `key/${at}`, null, NODE);
  }
  expect(now.entries.has("key/old")).toBe(false);
  expect(now.entries.size).toBe(SETTINGS_REMOVED_MAX + 1);
  const after = merged(old, now);
  expect(after.entries.get("key/old")?.json ?? null).toBeNull();
  expect(after.entries.get("key/kept")?.json).toBe("1");
  alike(after, now);
});

test("there is room for so many and no more, but always for a removal", () => {
  let full = NO_SETTINGS;
  for (let at = 0; at < SETTINGS_MAX; at++) full = withSetting(full, `key/${at}`, "1", NODE);
  expect(() => withSetting(full, "key/more", "1", NODE)).toThrow(/at most/);
  expect(withSetting(full, "key/3", "2", NODE).entries.get("key/3")?.json).toBe("2");
  const less = withSetting(full, "key/3", null, NODE);
  expect(withSetting(less, "key/more", "1", NODE).entries.size).toBe(SETTINGS_MAX + 1);
  expect(isOverfull(full)).toBe(false);
  const flood = Array.from({ length: 3_000 }, (_, at) => ({ key: `k${at}`, json: "1", version: at, node: NODE }));
  expect(isOverfull(settingsOf({ floor: 0, entries: flood }))).toBe(true);
  const large = `"${"x".repeat(4000)}"`;
  expect(() => {
    for (let at = 0; at < SETTINGS_MAX; at++) full = withSetting(full, `key/${at}`, large, NODE);
  }).toThrow(/characters/);
});
