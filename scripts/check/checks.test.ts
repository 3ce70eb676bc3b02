import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { checkCounts, CHECKS, failedTests, parseOnly, slowestFiles, sumCounts, summaryLine } from "./checks.ts";

const types = CHECKS.find((check) => check.name === "types") as (typeof CHECKS)[number];
const unit = CHECKS.find((check) => check.name === "unit") as (typeof CHECKS)[number];

describe("what a check came to", () => {
  test("is one passed or failed for a tool", () => {
    expect(checkCounts(types, 0, null)).toEqual({ passed: 1, failed: 0, skipped: 0 });
    expect(checkCounts(types, 2, null)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(checkCounts(types, null, null)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });

  test("is what the report counts for tests", () => {
    const report = JSON.stringify({ numPassedTests: 5, numFailedTests: 2, numPendingTests: 1, numTodoTests: 1 });
    expect(checkCounts(unit, 1, report)).toEqual({ passed: 5, failed: 2, skipped: 2 });
  });

  test("is never a success where the run failed", () => {
    const report = JSON.stringify({ numPassedTests: 5, numFailedTests: 0 });
    expect(checkCounts(unit, 0, report).failed).toBe(0);
    expect(checkCounts(unit, 1, report).failed).toBe(1);
    expect(checkCounts(unit, 1, null).failed).toBe(1);
    expect(checkCounts(unit, null, "{").failed).toBe(1);
  });
});

describe("the tests that failed", () => {
  test("are named with what they said, and a file that does not load is one", () => {
    const passed = { status: "passed", fullName: "fine" };
    const wrong = { status: "failed", fullName: "adds", failureMessages: ["2 is not 3"] };
    const testResults = [
      { name: "/a.test.ts", status: "failed", assertionResults: [passed, wrong] },
      { name: "/b.test.ts", status: "failed", message: "no such module", assertionResults: [] },
      { name: "/c.test.ts", status: "passed", assertionResults: [passed] },
    ];
    expect(failedTests(JSON.stringify({ testResults }))).toEqual([
      { file: "/a.test.ts", name: "adds", message: "2 is not 3" },
      { file: "/b.test.ts", name: "the file itself", message: "no such module" },
    ]);
    expect(failedTests(null)).toEqual([]);
  });
});

describe("the slowest files", () => {
  test("come first, by how long they took", () => {
    const testResults = [
      { name: "/a.test.ts", startTime: 1_000, endTime: 1_500 },
      { name: "/b.test.ts", startTime: 1_000, endTime: 9_000 },
      { name: "/c.test.ts", startTime: 2_000, endTime: 4_000 },
    ];
    expect(slowestFiles(JSON.stringify({ testResults }), 2)).toEqual([
      { file: "/b.test.ts", seconds: 8 },
      { file: "/c.test.ts", seconds: 2 },
    ]);
    expect(slowestFiles(null, 2)).toEqual([]);
  });
});

describe("the summary", () => {
  test("adds up and is said in one line", () => {
    const total = sumCounts([checkCounts(types, 0, null), checkCounts(types, 1, null), { passed: 3, failed: 0, skipped: 2 }]);
    expect(summaryLine(total)).toBe("4 passed, 1 failed, 2 skipped");
    expect(summaryLine({ passed: 1, failed: 0, skipped: 0 })).toBe("1 passed, 0 failed");
  });
});

describe("a second try", () => {
  test("is of the files named, one after the other", () => {
    const first = unit.command("report.json");
    const second = unit.command("report.json", ["/a.test.ts", "/b.test.ts"]);
    expect(first).not.toContain("--no-file-parallelism");
    expect(second.slice(-3)).toEqual(["--no-file-parallelism", "/a.test.ts", "/b.test.ts"]);
  });
});

describe("the cluster tests", () => {
  test("are each in one of two checks, and all there", () => {
    const check = (name: string): readonly string[] => CHECKS.find((each) => each.name === name)?.command("r.json") ?? [];
    const alone = check("cluster-alone").filter((word) => word.endsWith(".test.ts"));
    const excluded = check("cluster").filter((word) => word.endsWith(".test.ts"));
    expect(alone).toEqual(excluded);
    expect(alone.filter((file) => !existsSync(resolve(import.meta.dirname, "../..", file)))).toEqual([]);
    expect(check("cluster-alone")).toContain("--no-file-parallelism");
  });
});

describe("--only", () => {
  test("picks one check by name", () => {
    expect(parseOnly([])).toEqual({ checks: CHECKS });
    expect(parseOnly(["--only", "types"])).toEqual({ checks: [types] });
    expect(parseOnly(["--only", "nothing"])).toHaveProperty("error");
    expect(parseOnly(["--fast"])).toHaveProperty("error");
  });
});
