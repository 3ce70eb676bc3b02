import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KeyWish } from "@clusterd/gateway";
import { asNodeId } from "@clusterd/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readSettings } from "../settings/settings-file.ts";
import { createSettings, type ReplicatedSettings } from "../settings/shared-settings.ts";
import { createKeyStore, type KeyStore } from "./key-store.ts";

const FREE: KeyWish = {
  name: null,
  models: null,
  requestsPerMinute: null,
  tokensPerDay: null,
  isPrivate: false,
  mayControl: false,
};
const NOON = Date.parse("2026-03-04T12:00:00Z");

let home = "";
let stack = new AsyncDisposableStack();
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "clusterd-keys-"));
  stack = new AsyncDisposableStack();
});
afterEach(async () => {
  await stack.disposeAsync();
  await rm(home, { recursive: true, force: true });
});

interface Node {
  readonly settings: ReplicatedSettings;
  readonly keys: KeyStore;
  readonly path: string;
  now: number;
}

async function start(name: string): Promise<Node> {
  const path = join(home, `${name}.json`);
  const warn = (message: string): never => expect.fail(message);
  const settings = createSettings({ self: asNodeId(name), path, kept: await readSettings(path, warn), warn });
  stack.use(settings);
  settings.enter("c1");
  const node = { settings, path, now: NOON } as Node & { keys: KeyStore };
  node.keys = createKeyStore({ settings, self: asNodeId(name), nowMs: () => node.now, log: warn });
  stack.use(node.keys);
  return node;
}

function meet(a: Node, b: Node): void {
  b.settings.merge(a.settings.message());
  a.settings.merge(b.settings.message());
}

test("a key is taken by every member, until it is revoked by any", async () => {
  const [a, b] = [await start("a"), await start("b")];
  const { key, view } = await a.keys.create({ ...FREE, name: "laptop", isPrivate: true });
  expect(key).toMatch(/^ck_[\w-]{43}$/);
  expect(a.keys.check(key)).toMatchObject({ id: view.id, name: "laptop", isPrivate: true });
  expect(b.keys.check(key)).toBeNull();
  meet(a, b);
  expect(b.keys.check(key)).toMatchObject({ id: view.id });
  for (const wrong of [`${key}x`, key.slice(0, -1), key.toUpperCase(), "", view.id])
    expect(b.keys.check(wrong), wrong).toBeNull();
  expect(await b.keys.revoke("LAPTOP")).toMatchObject({ id: view.id });
  expect(b.keys.check(key)).toBeNull();
  meet(a, b);
  expect(a.keys.check(key)).toBeNull();
  expect(a.keys.list()).toEqual([]);
});

test("only its hash is kept", async () => {
  const { keys, path } = await start("a");
  const { key } = await keys.create(FREE);
  const kept = await readFile(path, "utf8");
  expect(kept).toContain("hash");
  expect(kept).not.toContain(key);
  expect(kept).not.toContain(key.slice(3));
  expect(JSON.stringify(keys.list())).not.toMatch(/hash|ck_/);
});

test("names are taken once; one that is there twice after a partition is revoked by its id", async () => {
  const [a, b] = [await start("a"), await start("b")];
  await a.keys.create({ ...FREE, name: "x" });
  await expect(a.keys.create({ ...FREE, name: "X" })).rejects.toMatchObject({ code: "invalid_request", param: "name" });
  const { view } = await b.keys.create({ ...FREE, name: "x" });
  meet(a, b);
  await expect(a.keys.revoke("x")).rejects.toMatchObject({ next: expect.stringContaining(view.id) });
  await a.keys.revoke(view.id);
  await a.keys.revoke("x");
  await expect(a.keys.revoke("x")).rejects.toMatchObject({ code: "not_found" });
});

test("requests per minute are counted per key", async () => {
  const { keys } = await start("a");
  const one = (await keys.create({ ...FREE, requestsPerMinute: 2 })).view.id;
  const other = (await keys.create({ ...FREE, requestsPerMinute: 2 })).view.id;
  const free = (await keys.create(FREE)).view.id;
  expect([keys.take(one), keys.take(one)]).toEqual([null, null]);
  expect(keys.take(one)).toMatchObject({ limit: "requests", max: 2 });
  expect(keys.take(other)).toBeNull();
  for (let at = 0; at < 50; at++) expect(keys.take(free)).toBeNull();
});

test("tokens of a day add up over nodes, over restarts, and begin anew with the day", async () => {
  const [a, b] = [await start("a"), await start("b")];
  const { id } = (await a.keys.create({ ...FREE, tokensPerDay: 100 })).view;
  const free = (await a.keys.create(FREE)).view.id;
  meet(a, b);
  expect(a.keys.take(id)).toBeNull();
  a.keys.spend(id, 60);
  b.keys.take(id);
  b.keys.spend(id, 39);
  b.keys.spend(free, 1_000_000);
  expect(a.keys.take(id)).toBeNull();
  // What was counted is told as a node ends.
  await b.keys[Symbol.asyncDispose]();
  meet(a, b);
  expect(a.keys.list().find((key) => key.id === id)).toMatchObject({ tokensToday: 99, lastUsedDay: "2026-03-04" });
  expect(a.keys.list().find((key) => key.id === free)).toMatchObject({ tokensToday: null });
  a.keys.spend(id, 1);
  expect(a.keys.take(id)).toEqual({ limit: "tokens", max: 100, retryAfterSeconds: 12 * 3600 });
  await a.keys[Symbol.asyncDispose]();
  await a.settings[Symbol.asyncDispose]();
  const again = await start("a");
  expect(again.keys.take(id)).toMatchObject({ limit: "tokens" });
  expect(again.keys.take(free)).toBeNull();
  again.now += 12 * 3600 * 1000;
  expect(again.keys.take(id)).toBeNull();
  expect(again.keys.list().find((key) => key.id === id)).toMatchObject({ tokensToday: 0, lastUsedDay: "2026-03-05" });
});

test("a node that lost its settings is told its own counts by the members", async () => {
  const [a, b] = [await start("a"), await start("b")];
  const { id } = (await a.keys.create({ ...FREE, tokensPerDay: 100 })).view;
  a.keys.take(id);
  a.keys.spend(id, 99);
  await a.keys[Symbol.asyncDispose]();
  meet(a, b);
  await rm(a.path);
  const again = await start("a");
  meet(again, b);
  again.keys.spend(id, 1);
  expect(again.keys.take(id)).toMatchObject({ limit: "tokens" });
});

test("what a member has stored under a key's name admits nobody unless it is a key", async () => {
  const { settings, keys } = await start("a");
  const { key } = await keys.create(FREE);
  const [[name, value] = ["", {}]] = settings.entries("key/");
  const good = value as Record<string, unknown>;
  for (const bad of [7, "x", {}, [], { ...good, hash: "" }, { ...good, mayControl: "yes" }, { ...good, models: "all" }]) {
    await settings.set(name, bad);
    expect(keys.check(key), JSON.stringify(bad)).toBeNull();
    expect(keys.check("")).toBeNull();
  }
  await settings.set(name, good);
  expect(keys.check(key)).not.toBeNull();
  await settings.set("usage/z", { x: ["2026-03-04", -5], y: "z" });
  expect(keys.list()).toHaveLength(1);
});
