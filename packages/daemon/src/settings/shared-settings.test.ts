import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test as property } from "@fast-check/vitest";
import { asNodeId, parseControlReply, parseControlRequest, type NodeId, type SettingsRequest } from "@clusterd/wire";
import { afterEach, expect, test } from "vitest";
import { readSettings } from "./settings-file.ts";
import { createSettings, type ReplicatedSettings } from "./shared-settings.ts";
import { answerSettings } from "./spread-settings.ts";

const homes: string[] = [];
const opened: ReplicatedSettings[] = [];
afterEach(async () => {
  for (const settings of opened.splice(0)) await settings[Symbol.asyncDispose]();
  for (const home of homes.splice(0)) await rm(home, { recursive: true, force: true });
});

async function newPath(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "clusterd-settings-"));
  homes.push(home);
  return join(home, "settings.json");
}

async function open(path: string, self: NodeId = asNodeId("a")): Promise<{ settings: ReplicatedSettings; warned: string[] }> {
  const warned: string[] = [];
  const warn = (message: string): void => void warned.push(message);
  const settings = createSettings({ self, path, kept: await readSettings(path, warn), warn });
  opened.push(settings);
  return { settings, warned };
}

async function member(self: NodeId, cluster = "c1"): Promise<ReplicatedSettings> {
  const { settings } = await open(await newPath(), self);
  settings.enter(cluster);
  return settings;
}

/** One request as it goes over the wire, checks included. */
function exchange(from: ReplicatedSettings, to: ReplicatedSettings, keys?: readonly string[]): void {
  const message = keys === undefined ? from.message() : from.messageOf(keys);
  const request = parseControlRequest({ type: "settings", whole: keys === undefined, ...message }) as SettingsRequest;
  const reply = parseControlReply("settings", { ok: true, answer: answerSettings(to, request) });
  if (reply.ok && keys === undefined) from.merge(reply.answer);
}

test("settings come back after a restart, readable by their owner alone", async () => {
  const path = await newPath();
  const { settings } = await open(path);
  await expect(settings.set("alias/a", 1)).rejects.toMatchObject({ code: "not_admitted" });
  settings.enter("c1");
  const heard: unknown[] = [];
  const end = settings.subscribe((keys, by) => heard.push([keys, by]));
  const done = settings.set("alias/a", { model: "m", share: 0.5 });
  expect(settings.get("alias/a")).toEqual({ model: "m", share: 0.5 });
  await done;
  await Promise.all([settings.set("alias/b", "x"), settings.set("key/1", "y"), settings.set("alias/b", null)]);
  end();
  await settings.set("alias/c", true);
  expect(heard).toEqual([
    [["alias/a"], "here"],
    [["alias/b"], "here"],
    [["key/1"], "here"],
    [["alias/b"], "here"],
  ]);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const again = (await open(path)).settings;
  expect(again.entries("alias/")).toEqual([
    ["alias/a", { model: "m", share: 0.5 }],
    ["alias/c", true],
  ]);
  expect(again.get("alias/b")).toBeNull();
  expect(again.digest).toBe(settings.digest);
});

test("a truncated file costs a warning, not the start", async () => {
  const path = await newPath();
  const { settings } = await open(path);
  settings.enter("c1");
  await settings.set("key/1", "y");
  await writeFile(path, (await readFile(path, "utf8")).slice(0, 30));
  const { settings: again, warned } = await open(path);
  expect(again.entries("")).toEqual([]);
  expect(warned.join()).toMatch(/damaged/);
  again.enter("c1");
  await again.set("key/2", "z");
  expect((await open(path)).settings.get("key/2")).toBe("z");
});

test("settings of one cluster are not taken into another", async () => {
  const path = await newPath();
  const { settings } = await open(path);
  settings.enter("c1");
  await settings.set("key/1", "y");
  settings.enter("c1");
  expect(settings.get("key/1")).toBe("y");
  settings.enter("c2");
  expect(settings.get("key/1")).toBeNull();
});

test("values that cannot be kept are refused by name", async () => {
  const settings = await member(asNodeId("a"));
  await expect(settings.set("key/1", "x".repeat(5000))).rejects.toThrow(/4096 characters/);
  await expect(settings.set("key/1", undefined)).rejects.toMatchObject({ code: "invalid_request" });
  await expect(settings.set("key/\u001b[31m", 1)).rejects.toMatchObject({ param: "key" });
  expect(settings.entries("")).toEqual([]);
});

property.prop([
  fc.array(fc.tuple(fc.nat(2), fc.constantFrom("a", "b", "c"), fc.option(fc.jsonValue(), { nil: null })), { maxLength: 12 }),
])("members that exchange settings over the wire know the same", async (changes) => {
  const members = await Promise.all(["a", "b", "c"].map((id) => member(asNodeId(id))));
  const [a, b, c] = members as [ReplicatedSettings, ReplicatedSettings, ReplicatedSettings];
  for (const [who, key, value] of changes) {
    await members[who]?.set(key, value).catch(() => undefined);
    if (who === 2) exchange(c, a, [key]);
  }
  exchange(a, b);
  exchange(b, c);
  exchange(c, a);
  expect([b.digest, c.digest]).toEqual([a.digest, a.digest]);
  expect(b.entries("")).toEqual(a.entries(""));
});

test("what a member sends is checked, and one who floods is refused", async () => {
  const send = (entries: unknown): unknown => parseControlRequest({ type: "settings", whole: true, floor: 0, entries });
  const good = { key: "key/1", json: '{"a":1}', version: 1, node: "a" };
  expect(send([good])).toMatchObject({ entries: [good] });
  for (const bad of [
    { ...good, json: '{"a": 1}' },
    { ...good, json: '{"a":1' },
    { ...good, json: `"${"x".repeat(5000)}"` },
    { ...good, json: "[".repeat(4000) },
    { ...good, key: "" },
    { ...good, key: "a\u0000b" },
    { ...good, key: 7 },
    { ...good, version: -1 },
    { ...good, version: 1.5 },
    { ...good, node: null },
    null,
  ])
    expect(() => send([bad]), JSON.stringify(bad)?.slice(0, 60)).toThrow(/settings\.entries\[0\]/);
  expect(() => send(Array.from({ length: 5000 }, () => good))).toThrow(/at most/);
  const settings = await member(asNodeId("a"));
  settings.merge({ floor: 0, entries: [{ ...good, node: asNodeId("b"), json: '{"__proto__":{"x":1}}' }] });
  settings.get("key/1");
  expect(({} as { x?: number }).x).toBeUndefined();
  const before = settings.digest;
  const large = `"${"x".repeat(4000)}"`;
  const flood = Array.from({ length: 2000 }, (_, at) => ({ key: `k${at}`, json: large, version: at, node: asNodeId("b") }));
  expect(() => settings.merge({ floor: 0, entries: flood })).toThrow(/More settings/);
  expect(settings.digest).toBe(before);
});
