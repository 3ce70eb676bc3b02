// Every check and test, one after the other: node scripts/check.ts [--only NAME]
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { checkCounts, parseOnly, sumCounts, summaryLine, type Check, type Counts } from "./check/checks.ts";

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

function run(check: Check): Promise<number | null> {
  return new Promise((done) => {
    const [tool = "", ...args] = check.command(join(reports, `${check.name}.json`));
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

const results: { readonly check: Check; readonly counts: Counts; readonly seconds: number }[] = [];
for (const check of chosen.checks) {
  if (stopped) break;
  process.stdout.write(`\n== ${check.title}\n`);
  const start = performance.now();
  const code = await run(check);
  const counts = checkCounts(check, code, report(check));
  const seconds = (performance.now() - start) / 1000;
  process.stdout.write(`-- ${check.title}: ${counts.failed === 0 ? "ok" : "FAILED"} (${seconds.toFixed(1)} s)\n`);
  results.push({ check, counts, seconds });
}
rmSync(reports, { recursive: true, force: true });

process.stdout.write("\n");
for (const { check, counts, seconds } of results) {
  process.stdout.write(
    `${counts.failed === 0 ? "ok    " : "FAILED"} ${check.title.padEnd(16)} ${seconds.toFixed(1).padStart(7)} s  ${summaryLine(counts)}\n`,
  );
}
const total = sumCounts(results.map((result) => result.counts));
process.stdout.write(`\n${summaryLine(total)}\n`);
if (stopped) process.exitCode = 130;
else if (total.failed > 0) process.exitCode = 1;
