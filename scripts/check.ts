// Every check and test, one after the other: node scripts/check.ts [--only NAME]
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, relative, resolve } from "node:path";
import {
  checkCounts,
  failedTests,
  parseOnly,
  slowestFiles,
  sumCounts,
  summaryLine,
  type Check,
  type Counts,
  type FailedTest,
} from "./check/checks.ts";

/** Of what a failed test said, this much is repeated at the end. */
const MESSAGE_CHARS_MAX = 1_500;
/** Up to so many files with failures are run a second time: more is no accident of the machine. */
const SECOND_TRY_FILES_MAX = 2;
/** Of each kind of test, so many slow files are named. */
const SLOWEST_FILES = 5;

const root = resolve(import.meta.dirname, "..");
const reports = mkdtempSync(join(tmpdir(), "clusterd-check-"));
// The tools, and the Node the packages bring, before anything else of those names.
const env = { ...process.env, PATH: [join(root, "node_modules/.bin"), process.env["PATH"] ?? ""].join(delimiter) };

let running: ReturnType<typeof spawn> | null = null;
let stopped = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    stopped = true;
    running?.kill(signal);
  });
}

function run(check: Check, files: readonly string[] = []): Promise<number | null> {
  return new Promise((done) => {
    const [tool = "", ...args] = check.command(join(reports, `${check.name}.json`), files);
    running = spawn(tool, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"], shell: process.platform === "win32" });
    running.once("error", (error) => {
      process.stderr.write(`${tool} does not start: ${error.message}\n`);
      done(null);
    });
    running.once("close", done);
  });
}

function report(check: Check): string | null {
  try {
    return readFileSync(join(reports, `${check.name}.json`), "utf8");
  } catch {
    return null;
  }
}

const chosen = parseOnly(process.argv.slice(2));
if ("error" in chosen) {
  process.stderr.write(`error: ${chosen.error}\n`);
  process.exit(2);
}

interface Result {
  readonly check: Check;
  readonly counts: Counts;
  readonly failed: readonly FailedTest[];
  /** Tests that failed at first and passed when their file ran again: to be looked into, no reason to fail. */
  readonly unsteady: readonly FailedTest[];
  readonly seconds: number;
}

/** Runs a check; a test file with failures runs a second time, alone, on the then quieter machine. */
async function carryOut(check: Check): Promise<Omit<Result, "seconds">> {
  const code = await run(check);
  const text = report(check);
  for (const { file, seconds } of check.countsTests ? slowestFiles(text, SLOWEST_FILES) : [])
    process.stdout.write(`${seconds.toFixed(1).padStart(7)} s  ${relative(root, file)}\n`);
  const counts = checkCounts(check, code, text);
  const failed = check.countsTests ? failedTests(text) : [];
  const files = [...new Set(failed.map(({ file }) => file))];
  const again = !stopped && failed.length > 0 && failed.length === counts.failed && files.length <= SECOND_TRY_FILES_MAX;
  if (!again) return { check, counts, failed, unsteady: [] };
  process.stdout.write(
    `\n-- ${failed.length} failed; running ${files.length === 1 ? "its file" : "their files"} a second time\n`,
  );
  const secondCode = await run(check, files);
  const secondText = report(check);
  const stillFailed = failedTests(secondText);
  if (secondCode !== 0 || stillFailed.length > 0 || checkCounts(check, secondCode, secondText).passed === 0)
    return { check, counts, failed: [...failed, ...stillFailed], unsteady: [] };
  return { check, counts: { ...counts, passed: counts.passed + counts.failed, failed: 0 }, failed: [], unsteady: failed };
}

const results: Result[] = [];
for (const check of chosen.checks) {
  if (stopped) break;
  process.stdout.write(`\n== ${check.title}\n`);
  const start = performance.now();
  const result = await carryOut(check);
  const { counts } = result;
  const seconds = (performance.now() - start) / 1000;
  process.stdout.write(`-- ${check.title}: ${counts.failed === 0 ? "ok" : "FAILED"} (${seconds.toFixed(1)} s)\n`);
  results.push({ ...result, seconds });
}
rmSync(reports, { recursive: true, force: true });

const tell = (word: string, { file, name, message }: FailedTest): void => {
  process.stdout.write(`${word} ${relative(root, file)}: ${name}\n${message.slice(0, MESSAGE_CHARS_MAX)}\n`);
};
process.stdout.write("\n");
for (const { failed, unsteady } of results) {
  for (const test of unsteady) tell("PASSED ONLY AT THE SECOND TRY", test);
  for (const test of failed) tell("FAILED", test);
}
for (const { check, counts, seconds } of results) {
  process.stdout.write(
    `${counts.failed === 0 ? "ok    " : "FAILED"} ${check.title.padEnd(16)} ${seconds.toFixed(1).padStart(7)} s  ${summaryLine(counts)}\n`,
  );
}
const total = sumCounts(results.map((result) => result.counts));
process.stdout.write(`\n${summaryLine(total)}\n`);
if (stopped) process.exitCode = 130;
else if (total.failed > 0) process.exitCode = 1;
