import type { KeyView } from "@clusterd/wire";
import { expect, test } from "vitest";
import { plain } from "../text/style.ts";
import { keysLines } from "./keys-view.ts";

const KEY: KeyView = {
  id: "0123456789",
  name: "phone",
  models: null,
  requestsPerMinute: null,
  tokensPerDay: null,
  isPrivate: false,
  mayControl: false,
  createdAt: "2026-03-04T12:00:00.000Z",
  lastUsedDay: null,
  tokensToday: null,
};

test("keys are shown with their limits, and nothing that drives a terminal", () => {
  const limited: Partial<KeyView> = {
    models: ["stable", "a\u001b[2Jb"],
    requestsPerMinute: 5,
    tokensPerDay: 100,
    tokensToday: 40,
  };
  const [, first, second] = keysLines(
    [KEY, { ...KEY, ...limited, name: "e\u202evil", isPrivate: true, mayControl: true, lastUsedDay: "2026-03-05" }],
    plain,
  );
  expect(first).toMatch(/^phone +0123456789 +2026-03-04 +never +none$/);
  expect(second).toMatch(/2026-03-05 +only stable, a\\x1b\[2Jb; 5 requests\/min; 40 of 100 tokens\/day; private; admin$/);
  expect(second).toContain("e\\u{202e}vil");
  expect(keysLines([], plain).join()).toContain("clusterd key create");
});
