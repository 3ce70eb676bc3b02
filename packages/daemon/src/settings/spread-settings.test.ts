import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asNodeId, parseControlReply, parseControlRequest, type NodeId, type SettingsRequest } from "@clusterd/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DaemonState, StateEvent } from "../state/daemon-state.ts";
import type { Store } from "../state/store.ts";
import { NO_SETTINGS } from "./merge-settings.ts";
import { createSettings, type ReplicatedSettings } from "./shared-settings.ts";
import { answerSettings, spreadSettings } from "./spread-settings.ts";

let home = "";
let stack = new AsyncDisposableStack();
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "clusterd-spread-"));
  stack = new AsyncDisposableStack();
});
afterEach(async () => {
  await stack.disposeAsync();
  await rm(home, { recursive: true, force: true });
});

interface Member {
  readonly id: NodeId;
  readonly settings: ReplicatedSettings;
  /** Told by another's advert. */
  advert(from: NodeId, digest: string | null): void;
}

/** Members that reach each other unless they are cut apart. Adverts and requests take the checks of the wire. */
class Network {
  readonly members = new Map<NodeId, Member>();
  readonly asked: string[] = [];
  readonly #digests = new Map<NodeId, string>();
  #cut: ReadonlySet<NodeId> = new Set();

  #joined(a: NodeId, b: NodeId): boolean {
    return a !== b && this.#cut.has(a) === this.#cut.has(b);
  }
  #tell(from: NodeId): void {
    const digest = this.#digests.get(from) ?? null;
    for (const [id, member] of this.members) if (this.#joined(from, id)) queueMicrotask(() => member.advert(from, digest));
  }
  cut(...away: readonly Member[]): void {
    this.#cut = new Set(away.map(({ id }) => id));
    // On coming back members are given each other's adverts.
    for (const id of this.members.keys()) this.#tell(id);
  }

  /** `knows`: false for a node of a version without settings. */
  add(name: string, knows = true): Member {
    const id = asNodeId(name);
    const others = new Map<NodeId, unknown>();
    const listeners = new Set<(state: DaemonState, event: StateEvent) => void>();
    const state = { self: id, standing: { kind: "member", id: "c1" }, others } as unknown as DaemonState;
    const store = {
      state,
      dispatch: (event: StateEvent) => {
        if (event.type !== "own" || event.facts.settings === undefined || !knows) return;
        this.#digests.set(id, event.facts.settings);
        this.#tell(id);
      },
      subscribe: (listener: (state: DaemonState, event: StateEvent) => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    } as unknown as Store;
    const kept = { cluster: null, settings: NO_SETTINGS };
    const settings = createSettings({ self: id, path: join(home, `${name}.json`), kept, warn: (text) => expect.fail(text) });
    stack.use(settings);
    const member: Member = {
      id,
      settings,
      advert(from, digest) {
        others.set(from, { advert: { node: from, settings: digest } });
        for (const listener of listeners) listener(state, { type: "advert", advert: {} } as unknown as StateEvent);
      },
    };
    this.members.set(id, member);
    const request = async (to: NodeId, message: unknown): Promise<unknown> => {
      this.asked.push(`${name}>${to}`);
      const there = this.members.get(to);
      if (there === undefined || !this.#joined(id, to)) throw new Error("not connected");
      const checked = parseControlRequest(message) as SettingsRequest;
      const reply = parseControlReply("settings", { ok: true, answer: answerSettings(there.settings, checked) });
      return reply.ok ? reply.answer : expect.fail("refused");
    };
    const members = (): readonly NodeId[] => [...this.members.keys()].filter((other) => this.#joined(id, other));
    const mesh = { members, request } as unknown as NonNullable<ReturnType<Parameters<typeof spreadSettings>[0]["mesh"]>>;
    stack.use(spreadSettings({ settings, store, mesh: () => mesh, log: (text) => expect.fail(text) }));
    for (const other of this.members.keys()) this.#tell(other);
    return member;
  }
  alike(): boolean {
    return new Set([...this.members.values()].map(({ settings }) => settings.digest)).size === 1;
  }
}

test("a change is with all members at once, without an exchange of everything", async () => {
  const network = new Network();
  const [a, b, c] = [network.add("a"), network.add("b"), network.add("c")];
  await expect.poll(() => network.alike()).toBe(true);
  network.asked.length = 0;
  await a.settings.set("key/1", { x: 1 });
  await a.settings.set("key/2", 2);
  await a.settings.set("key/1", null);
  for (const { settings } of [b, c]) await expect.poll(() => settings.entries("")).toEqual([["key/2", 2]]);
  await expect.poll(() => network.alike()).toBe(true);
  expect(network.asked.sort()).toEqual(["a>b", "a>b", "a>b", "a>c", "a>c", "a>c"]);
});

test("a partition heals, and who joins later is told", async () => {
  const network = new Network();
  const [a, b, c] = [network.add("a"), network.add("b"), network.add("c")];
  await a.settings.set("alias/x", "old");
  await expect.poll(() => network.alike()).toBe(true);
  network.cut(c);
  await a.settings.set("alias/x", "new");
  await b.settings.set("alias/y", 1);
  await c.settings.set("alias/z", 2);
  await c.settings.set("alias/x", null);
  await c.settings.set("alias/x", "last");
  network.cut();
  const d = network.add("d");
  await expect.poll(() => network.alike()).toBe(true);
  expect(d.settings.entries("")).toEqual([
    ["alias/x", "last"],
    ["alias/y", 1],
    ["alias/z", 2],
  ]);
});

test("a node of an older version is left alone", async () => {
  const network = new Network();
  const [a, b] = [network.add("a"), network.add("b")];
  network.add("old", false);
  await a.settings.set("key/1", 1);
  await expect.poll(() => b.settings.get("key/1")).toBe(1);
  expect(network.asked.filter((each) => each.endsWith(">old"))).toEqual([]);
});
