// Set-up of a checkout: packages, engine, dashboard. Plain JavaScript without dependencies, for it runs before there are any.
//   node scripts/setup.mjs [--quiet]
// Each step is skipped when nothing it depends on has changed. Nothing but npm packages is fetched.
import { endChildren } from "./setup/child.mjs";
import { fileFailure, SetupFailure } from "./setup/failure.mjs";
import { stepInputs } from "./setup/inputs.mjs";
import { takeLock } from "./setup/lock.mjs";
import { createProgress } from "./setup/progress.mjs";
import { markDone, staleSteps } from "./setup/stamp.mjs";
import { buildDashboard, installPackages, makeEngine } from "./setup/steps.mjs";

const NODE_MAJOR_FOR_SETUP = 20;
const PARENT_CHECK_MS = 1000;

let stopping = false;

async function step(name, progress, inputs, work) {
  progress.start(name);
  try {
    const leaves = await work();
    markDone(name, inputs[name].hash, leaves ?? inputs[name].leaves);
    progress.done(name);
  } catch (error) {
    // While stopping, steps fail because their programs were ended.
    if (!stopping) progress.failed(name);
    throw error;
  }
}

async function setUp(progress) {
  if (staleSteps(stepInputs()).length === 0) return;
  if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_FOR_SETUP) {
    throw new SetupFailure(
      `Set-up needs Node ${NODE_MAJOR_FOR_SETUP} or newer; this is ${process.versions.node}.`,
      "Install a newer Node.",
    );
  }
  const release = await takeLock((pid) => progress.say(`waiting for another set-up of this checkout (process ${pid})`));
  process.once("exit", release);
  // What another set-up has done meanwhile is not done again.
  const inputs = stepInputs();
  const stale = new Set(staleSteps(inputs));
  if (stale.has("packages")) await step("packages", progress, inputs, installPackages);
  const engine = () =>
    makeEngine(
      (text) => progress.detail("engine", text),
      (note) => progress.say(`note: ${note}`),
    );
  // The page builds while the engine compiles. Both end before a failure of one is told.
  const results = await Promise.allSettled([
    stale.has("engine") ? step("engine", progress, inputs, engine) : undefined,
    stale.has("dashboard") ? step("dashboard", progress, inputs, buildDashboard) : undefined,
  ]);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

const progress = createProgress({ quiet: process.argv.includes("--quiet") });
async function stop(code) {
  if (stopping) return;
  stopping = true;
  await endChildren();
  progress.close();
  process.exit(code);
}
process.on("SIGINT", () => void stop(130));
process.on("SIGTERM", () => void stop(143));
process.on("SIGHUP", () => void stop(129));
// A shell that npm ran this in may end without a word.
const parent = process.ppid;
setInterval(() => process.ppid !== parent && void stop(143), PARENT_CHECK_MS).unref();

try {
  await setUp(progress);
  progress.close();
} catch (error) {
  if (!stopping) {
    progress.close();
    const failure = error instanceof SetupFailure ? error : error.code === undefined ? null : fileFailure(error);
    process.stderr.write(
      failure === null
        ? `${error.stack}\n`
        : `error: ${failure.message}\n${failure.next === undefined ? "" : `next:  ${failure.next}\n`}`,
    );
    process.exitCode = 1;
  }
}
