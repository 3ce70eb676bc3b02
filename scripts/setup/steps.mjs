import { join } from "node:path";
import { runChild } from "./child.mjs";
import { installFailure, SetupFailure } from "./failure.mjs";
import { hasDashboard } from "./inputs.mjs";
import { newNode, NODE_MAJOR_MIN, ROOT } from "./paths.mjs";

/** The registry npm would ask, for messages; an environment variable tells without starting npm. */
async function registryName() {
  const asked = await runChild("npm", ["config", "get", "registry", "--loglevel=error"], { cwd: ROOT }).catch(() => null);
  return /https?:\/\/\S+/.exec(asked?.output ?? "")?.[0] ?? "(unknown)";
}

/** Installs what the lockfile names, and nothing else. */
export async function installPackages() {
  // CI: pnpm asks no questions.
  const env = { ...process.env, CI: "true", npm_config_update_notifier: "false", NO_UPDATE_NOTIFIER: "1" };
  let result;
  try {
    result = await runChild("npx", ["-y", "pnpm@12", "install", "--frozen-lockfile", "--reporter=append-only"], {
      cwd: ROOT,
      env,
    });
  } catch (error) {
    throw new SetupFailure(
      `npx does not start: ${error.message}`,
      "Install npm, which comes with Node, and see that it is on PATH.",
    );
  }
  if (result.code !== 0) throw installFailure(result.output, await registryName());
}

function runtime() {
  const node = newNode();
  if (node !== null) return node;
  throw new SetupFailure(
    `clusterd needs Node ${NODE_MAJOR_MIN}; this is ${process.versions.node}, and npm has no Node for ${process.platform} on ${process.arch}.`,
    `Install Node ${NODE_MAJOR_MIN} or newer (https://nodejs.org) and try again.`,
  );
}

/** Finds or builds the engine; resolves to its folder. */
export async function makeEngine(onDetail, onNote) {
  let dir = "";
  let failure = null;
  const take = (line) => {
    let said;
    try {
      said = JSON.parse(line);
    } catch {
      return;
    }
    if (said.step !== undefined)
      onDetail(said.fraction === null ? said.step : `${said.step}, ${Math.round(said.fraction * 100)} %`);
    if (said.note !== undefined) onNote(said.note);
    if (said.dir !== undefined) dir = said.dir;
    if (said.message !== undefined) failure = new SetupFailure(said.message, said.next);
  };
  const result = await runChild(runtime(), [join(ROOT, "scripts/setup/engine.ts")], { cwd: ROOT, onLine: take });
  if (failure !== null) throw failure;
  if (result.code !== 0 || dir === "")
    throw new SetupFailure(`The engine could not be made.\n${result.output.slice(-2000)}`, "Try again.");
  return dir;
}

/** Builds the dashboard's page. */
export async function buildDashboard() {
  if (!hasDashboard()) return;
  const folder = join(ROOT, "packages/dashboard");
  const vite = join(folder, "node_modules/vite/bin/vite.js");
  const result = await runChild(runtime(), [vite, "build", "--logLevel", "warn"], { cwd: folder });
  if (result.code !== 0)
    throw new SetupFailure(
      `The dashboard could not be built.\n${result.output.slice(-2000)}`,
      "Restore packages/dashboard and try again.",
    );
}
