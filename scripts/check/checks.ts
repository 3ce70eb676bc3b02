/** How many tests (or checks that are one each) came to which end. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface Check {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  /** The program and its arguments; tests leave their report in `reportFile`. */
  readonly command: (reportFile: string, files?: readonly string[]) => readonly string[];
  readonly countsTests: boolean;
}

/** A test that failed, and what it said. */
export interface FailedTest {
  readonly file: string;
  readonly name: string;
  readonly message: string;
}

interface TestChoice {
  /** For `--only`, where a project has several checks. */
  readonly name: string;
  readonly only: readonly string[];
  readonly but: readonly string[];
}

function tool(name: string, title: string, ...command: string[]): Check {
  return { name, title, command: () => command, countsTests: false };
}

/** Cluster tests of what a machine that is busy with another test does otherwise: how often it asks again, who is starved. */
const ALONE: readonly string[] = ["starved", "swarm", "thousand-requests", "tools"].map((name) => `test/cluster/${name}.test.ts`);

/** The tests of a project: all, `only` some of them one after the other, or all `but` some. */
function tests(project: string, title: string, { name = project, only = [], but = [] }: Partial<TestChoice> = {}): Check {
  const command = (reportFile: string, again: readonly string[] = []): string[] => {
    const files = again.length > 0 ? again : only;
    const reporters = ["--reporter=dot", "--reporter=json", `--outputFile.json=${reportFile}`];
    // Files that are named are few, and had trouble beside others: one after the other.
    const alone = files.length > 0 ? ["--no-file-parallelism"] : [];
    const excluded = but.flatMap((file) => ["--exclude", file]);
    const flags = ["--project", project, "--passWithNoTests", "--silent=passed-only", ...reporters, ...excluded, ...alone];
    return ["vitest", "run", ...flags, ...files];
  };
  return { name, title, command, countsTests: true };
}

/** In the order in which they run: the quick ones first. */
export const CHECKS: readonly Check[] = [
  tool("types", "types", "tsc", "-p", "."),
  tool("lint", "lint", "oxlint", "--type-aware"),
  tool("format", "format", "oxfmt", "--check", "."),
  tool("unused", "unused code", "knip", "--no-progress"),
  tests("unit", "unit tests"),
  tests("cluster", "cluster tests", { but: ALONE }),
  tests("cluster", "one by one", { name: "cluster-alone", only: ALONE }),
  tests("clients", "clients' tests"),
];

/** The checks a command line asks for. */
export function parseOnly(args: readonly string[]): { readonly checks: readonly Check[] } | { readonly error: string } {
  if (args.length === 0) return { checks: CHECKS };
  const names = CHECKS.map((check) => check.name).join(", ");
  const [flag, name, ...rest] = args;
  if (flag !== "--only" || name === undefined || rest.length > 0) return { error: `use --only NAME, NAME one of ${names}` };
  const checks = CHECKS.filter((check) => check.name === name);
  return checks.length > 0 ? { checks } : { error: `no check is called ${name}; there are ${names}` };
}

function countIn(report: Readonly<Record<string, unknown>>, key: string): number {
  const value = report[key];
  return typeof value === "number" ? value : 0;
}

/**
 * What a check came to, from its exit code (null: it did not end by itself) and, for tests, vitest's JSON report. A run that failed
 * beside its tests (a file that does not load, an error after the last test) counts as one failure.
 */
export function checkCounts(check: Check, code: number | null, report: string | null): Counts {
  const alone: Counts = { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
  if (!check.countsTests) return alone;
  if (report === null) return { ...alone, passed: 0 };
  let read: Readonly<Record<string, unknown>>;
  try {
    read = JSON.parse(report) as Readonly<Record<string, unknown>>;
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const failed = countIn(read, "numFailedTests");
  return {
    passed: countIn(read, "numPassedTests"),
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: countIn(read, "numPendingTests") + countIn(read, "numTodoTests"),
  };
}

/** The tests that failed by vitest's JSON report; a file that did not even load counts as one. */
export function failedTests(report: string | null): readonly FailedTest[] {
  interface Result {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[];
    }[];
  }
  let results: readonly Result[];
  try {
    results = (JSON.parse(report ?? "") as { readonly testResults: readonly Result[] }).testResults;
  } catch {
    return [];
  }
  return results.flatMap(({ name: file, status, message = "", assertionResults }) => {
    const failed = assertionResults.filter((test) => test.status === "failed");
    if (failed.length === 0) return status === "failed" ? [{ file, name: "the file itself", message }] : [];
    return failed.map((test) => ({ file, name: test.fullName, message: test.failureMessages?.join("\n") ?? "" }));
  });
}

/** Seconds that a test file took, by vitest's JSON report: the slowest `count` of them, the slowest first. */
export function slowestFiles(
  report: string | null,
  count: number,
): readonly { readonly file: string; readonly seconds: number }[] {
  interface Result {
    readonly name: string;
    readonly startTime: number;
    readonly endTime: number;
  }
  let results: readonly Result[];
  try {
    results = (JSON.parse(report ?? "") as { readonly testResults: readonly Result[] }).testResults;
  } catch {
    return [];
  }
  const took = results.map(({ name, startTime, endTime }) => ({ file: name, seconds: (endTime - startTime) / 1000 }));
  return took.toSorted((a, b) => b.seconds - a.seconds).slice(0, count);
}

export function sumCounts(all: readonly Counts[]): Counts {
  const sum = (pick: (counts: Counts) => number): number => all.reduce((total, counts) => total + pick(counts), 0);
  return {
    passed: sum((counts) => counts.passed),
    failed: sum((counts) => counts.failed),
    skipped: sum((counts) => counts.skipped),
  };
}

/** `12 passed, 0 failed`, and what was skipped where something was. */
export function summaryLine(counts: Counts): string {
  return `${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""}`;
}
