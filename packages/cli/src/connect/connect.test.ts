import { execFileSync } from "node:child_process";
import { fc, test as property } from "@fast-check/vitest";
import type { ClusterState } from "@clusterd/wire";
import { describe, expect, test } from "vitest";
import { plain } from "../text/style.ts";
import { connectLines } from "../views/connect-view.ts";
import { baseUrl, exported, quoted, shellWord, type ConnectTarget } from "./client-guide.ts";
import { findGuide, GUIDES } from "./find-guide.ts";
import { chooseModel, originOf } from "./target.ts";

const TARGET: ConnectTarget = { origin: "http://127.0.0.1:2573", model: "demo-16l-q8_0", context: 8_192, key: "THE_KEY" };

describe.each(GUIDES.map((guide) => [guide.name, guide] as const))("%s", (name, guide) => {
  const snippets = guide.snippets(TARGET);
  const all = snippets.map(({ text }) => text).join("\n");

  test("names the URL of its API, the model and the key", () => {
    expect(guide.documentation).toMatch(/^https:\/\//);
    if (snippets.length === 0) {
      expect(guide.notes.length).toBeGreaterThan(0);
      return;
    }
    for (const part of [baseUrl(guide.api, TARGET.origin), TARGET.key]) expect(all).toContain(part);
    // Where the model is chosen in the program itself, there is none to write.
    if (name !== "open-webui") expect(all).toContain(TARGET.model);
    // Anthropic's and Ollama's clients add the whole path themselves.
    if (guide.api !== "openai") expect(all).not.toContain(`${TARGET.origin}/v1`);
  });

  test("is found by all its names", () => {
    for (const each of [name, name.toUpperCase(), ...guide.otherNames]) expect(findGuide(each)).toBe(guide);
  });

  test("has JSON that is JSON, whatever the model is called", () => {
    const strange = guide.snippets({ ...TARGET, model: 'a"b\\c', context: null });
    for (const { language, text } of strange)
      if (language === "json") expect(JSON.stringify(JSON.parse(text))).toContain('a\\"b\\\\c');
  });
});

test("names are told apart; what there is no guide for is said with what there is", () => {
  const names = GUIDES.flatMap(({ name, otherNames }) => [name, ...otherNames]);
  expect(new Set(names).size).toBe(names.length);
  expect(findGuide("Open WebUI").name).toBe("open-webui");
  expect(() => findGuide("claud-code")).toThrow(
    expect.objectContaining({ code: "not_found", next: expect.stringMatching(/mean claude-code\?.*curl/) as string }),
  );
});

property.prop([fc.string({ unit: "grapheme-ascii", maxLength: 40 })], { numRuns: 30 })(
  "a shell takes a word as it is",
  (word) => {
    const printed = execFileSync("/bin/sh", [
      "-c",
      `${exported({ WORD: word })}; printf %s "$WORD"; printf '|%s' ${shellWord(word) || "''"}`,
    ]);
    expect(printed.toString()).toBe(`${word}|${word}`);
    expect(JSON.parse(quoted(word))).toBe(word);
  },
);

test("an API that listens everywhere is found at an address of this machine", () => {
  expect(originOf("http://127.0.0.1:2573")).toBe("http://127.0.0.1:2573");
  expect(originOf("http://0.0.0.0:2573", () => "192.168.1.5")).toBe("http://192.168.1.5:2573");
  expect(originOf("http://[::]:2573", () => "fd00::1")).toBe("http://[fd00::1]:2573");
});

test("the model is one that exists: what was asked for, else what is ready, else what could be loaded", () => {
  const deployments = [
    { model: "loading", aliases: [], state: "loading", context: 1 },
    { model: "Ready", aliases: ["stable"], state: "ready", context: 4_096 },
  ];
  const models = [{ id: "idle", aliases: [] }];
  const state = (changes: object): ClusterState => ({ deployments, models, ...changes }) as unknown as ClusterState;
  expect(chooseModel(state({}), null)).toEqual({ model: "Ready", context: 4_096 });
  expect(chooseModel(state({}), "STABLE")).toEqual({ model: "Ready", context: 4_096 });
  expect(chooseModel(state({}), "idle")).toEqual({ model: "idle", context: null });
  expect(chooseModel(state({ deployments: [] }), null)).toEqual({ model: "idle", context: null });
  expect(chooseModel(state({ deployments: [], models: [] }), null)).toBeNull();
  expect(() => chooseModel(state({}), "nobody")).toThrow(expect.objectContaining({ code: "not_found" }));
});

test("what is shown stands on lines of its own, and drives no terminal", () => {
  const model = "evil\u001b[2J";
  const guide = findGuide("curl");
  const lines = connectLines(
    {
      ...guide,
      baseUrl: "u",
      model,
      key: { needed: true, make: "clusterd key create curl" },
      snippets: guide.snippets({ ...TARGET, model }),
    },
    plain,
  );
  expect(lines.join("\n")).not.toContain("\u001b");
  expect(lines.join("\n")).toMatch(/make one, shown once: clusterd key create curl/);
});
