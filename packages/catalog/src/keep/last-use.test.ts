import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openLastUse } from "./last-use.ts";

const folder = await mkdtemp(join(tmpdir(), "clusterd-last-use-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

test("uses are known at the next start", async () => {
  const path = join(folder, "uses.json");
  let nowMs = 5;
  {
    await using uses = await openLastUse(path, () => nowMs);
    expect(uses.at("a")).toBeNull();
    uses.used("a");
    nowMs = 9;
    uses.used("o/r:Q8_0");
    expect(uses.at("a")).toBe(5);
  }
  await using again = await openLastUse(path, () => nowMs);
  expect([again.at("a"), again.at("o/r:Q8_0"), again.at("b")]).toEqual([5, 9, null]);
});

test("the oldest of too many are forgotten, and a damaged record is none", async () => {
  const path = join(folder, "many.json");
  let nowMs = 0;
  {
    await using uses = await openLastUse(path, () => nowMs++);
    for (let model = 0; model < 1_030; model++) uses.used(`m${model}`);
  }
  {
    await using again = await openLastUse(path);
    expect([again.at("m5"), again.at("m6")]).toEqual([null, 6]);
  }
  for (const damage of ["", "[1]", '{"m6":"soon","m7":7,"__proto__":1}']) {
    await writeFile(path, damage);
    await using none = await openLastUse(path);
    expect(none.at("m6")).toBeNull();
  }
  await using some = await openLastUse(path);
  expect(some.at("m7")).toBe(7);
});
