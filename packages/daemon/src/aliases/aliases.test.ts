import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test as prop } from "@fast-check/vitest";
import { asModelId, asNodeId, type AliasView, type ModelId } from "@clusterd/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readSettings } from "../settings/settings-file.ts";
import { createSettings, type ReplicatedSettings } from "../settings/shared-settings.ts";
import { BEFORE_MAX, ledTo, parseAlias, rolledBack } from "./alias-record.ts";
import { createAliasBook, type AliasBook } from "./alias-book.ts";
import { pickTarget } from "./pick-target.ts";

const [OLD, NEW] = [asModelId("old"), asModelId("new")];
const ready = { isReady: () => true, chance: () => 0 };

describe("the share of a canary", () => {
  const pick = (share: number, conversation: string): ModelId =>
    pickTarget("stable", { model: OLD, canary: { model: NEW, share } }, conversation, ready);

  test("is what conversations come to, within four standard deviations", () => {
    const [count, share] = [2_000, 0.3];
    const chosen = Array.from({ length: count }, (_, index) => pick(share, `c${index}`)).filter((model) => model === NEW).length;
    expect(Math.abs(chosen - count * share)).toBeLessThan(4 * Math.sqrt(count * share * (1 - share)));
  });

  prop.prop([fc.string(), fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })])(
    "keeps a conversation where it is, and grows without one going back",
    (conversation, a, b) => {
      const [less, more] = [Math.min(a, b), Math.max(a, b)];
      expect(pick(less, conversation)).toBe(pick(less, conversation));
      if (pick(less, conversation) === NEW) expect(pick(more, conversation)).toBe(NEW);
      expect(pick(0, conversation)).toBe(OLD);
      expect(pick(1, conversation)).toBe(NEW);
    },
  );

  test("is another one's for each alias, chance's without a conversation, and nobody's while the canary cannot serve", () => {
    const target = { model: OLD, canary: { model: NEW, share: 0.5 } };
    const all = Array.from({ length: 64 }, (_, index) => `c${index}`);
    const of = (alias: string): readonly ModelId[] => all.map((each) => pickTarget(alias, target, each, ready));
    expect(of("a")).not.toEqual(of("b"));
    expect(of("Stable")).toEqual(of("stable"));
    const by = (chance: number, isReady = true): ModelId =>
      pickTarget("a", target, null, { isReady: () => isReady, chance: () => chance });
    expect([by(0.49), by(0.51), by(0.49, false)]).toEqual([NEW, OLD, OLD]);
  });
});

prop.prop([fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 12 })])(
  "changes are taken back one after the other, as many as are kept",
  (models) => {
    let alias: AliasView | null = null;
    const states: AliasView[] = [];
    for (const model of models) {
      const next = ledTo("x", alias, { model: asModelId(model), canary: null });
      if (next !== alias) states.push(next);
      alias = next;
      expect(next.before.length).toBeLessThanOrEqual(BEFORE_MAX);
      expect(parseAlias(JSON.parse(JSON.stringify(next)))).toEqual(next);
    }
    if (alias === null) throw new Error("there was a change");
    let back: AliasView = alias;
    for (const state of states.toReversed().slice(1, BEFORE_MAX + 1)) {
      back = rolledBack(back);
      expect(back.model).toBe(state.model);
    }
    expect(() => rolledBack(back)).toThrow(/Nothing is known from before/);
  },
);

describe("the cluster's aliases", () => {
  let home = "";
  let settings: ReplicatedSettings;
  let book: AliasBook;
  const models = new Map<string, ModelId>();
  const down = new Set<ModelId>();

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), "clusterd-aliases-"));
    const warn = (message: string): never => expect.fail(message);
    const path = join(home, "settings.json");
    settings = createSettings({ self: asNodeId("a"), path, kept: await readSettings(path, warn), warn });
    settings.enter("c1");
    models.clear();
    down.clear();
    for (const [name, id] of [
      ["old", OLD],
      ["demo", OLD],
      ["new", NEW],
    ] as const)
      models.set(name, id);
    const modelNamed = (name: string): ModelId | null => models.get(name.toLowerCase()) ?? null;
    book = createAliasBook({ settings, modelNamed, isReady: (model) => !down.has(model) });
  });
  afterEach(async () => {
    await settings[Symbol.asyncDispose]();
    await rm(home, { recursive: true, force: true });
  });

  test("switch, canary, promotion, and back again", async () => {
    await book.change({ alias: "Stable", action: "set", model: "demo" });
    expect(book.meant("STABLE", "c")).toBe(OLD);
    expect(book.namesOf(OLD)).toEqual(["Stable"]);
    await book.change({ alias: "stable", action: "set", canary: { model: "new", share: 1 } });
    expect(book.meant("stable", "c")).toBe(NEW);
    expect([book.targetOf("stable"), book.targetOf("other")]).toEqual([OLD, "other"]);
    down.add(NEW);
    expect(book.meant("stable", "c")).toBe(OLD);
    expect(await book.change({ alias: "stable", action: "promote" })).toMatchObject({
      alias: "Stable",
      model: NEW,
      canary: null,
    });
    expect(await book.change({ alias: "stable", action: "back" })).toMatchObject({
      model: OLD,
      canary: { model: NEW, share: 1 },
    });
    expect(await book.change({ alias: "stable", action: "back" })).toEqual({
      alias: "Stable",
      model: OLD,
      canary: null,
      before: [],
    });
    expect(await book.change({ alias: "stable", action: "remove" })).toBeNull();
    expect(book.meant("stable", "c")).toBe("stable");
    expect(book.list()).toEqual([]);
  });

  test("a model's own name means that model, also one that comes later", async () => {
    await expect(book.change({ alias: "Demo", action: "set", model: "new" })).rejects.toThrow(/names the model old already/);
    await book.change({ alias: "later", action: "set", model: "new" });
    models.set("later", OLD);
    expect(book.meant("later", null)).toBe("later");
  });

  test.each([
    [{ alias: "no spaces", action: "set", model: "new" }, /cannot be an alias/],
    [{ alias: "x".repeat(65), action: "set", model: "new" }, /cannot be an alias/],
    [{ alias: "hf:a/b", action: "set", model: "new" }, /cannot be an alias/],
    [{ alias: "a.gguf", action: "set", model: "new" }, /cannot be an alias/],
    [{ alias: "a", action: "set", model: "none" }, /no model here/],
    [{ alias: "a", action: "set", model: "known" }, /an alias itself/],
    [{ alias: "a", action: "set" }, /needs a model/],
    [{ alias: "a", action: "set", canary: { model: "new", share: 0.1 } }, /no alias "a"/],
    [{ alias: "known", action: "set", canary: { model: "demo", share: 0.1 } }, /beside itself/],
    [{ alias: "known", action: "promote" }, /has no canary/],
    [{ alias: "known", action: "back" }, /Nothing is known/],
    [{ alias: "a", action: "remove" }, /no alias "a"/],
  ] as const)("%j is refused", async (change, words) => {
    await book.change({ alias: "known", action: "set", model: "old" });
    await expect(book.change(change)).rejects.toThrow(words);
    expect(book.list().map(({ alias, model }) => [alias, model])).toEqual([["known", OLD]]);
  });

  test("what a member says is no alias unless it has an alias's form", async () => {
    await settings.set("alias/odd", { model: 5 });
    await settings.set("alias/good", { alias: "good", model: "new", canary: null, before: [] });
    expect(book.list().map(({ alias }) => alias)).toEqual(["good"]);
    expect(book.meant("odd", null)).toBe("odd");
  });
});
