import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, ROOT } from "./paths.mjs";

function filesBelow(folder, skip) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !skip.has(entry.name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? filesBelow(path, skip) : [path];
    });
}

function hashOf(texts, files) {
  const hash = createHash("sha256").update(JSON.stringify(texts));
  for (const file of files) hash.update(`\0${file.slice(ROOT.length)}\0`).update(readFileSync(file));
  return hash.digest("hex");
}

function manifests() {
  const packages = readdirSync(join(ROOT, "packages")).map((name) => join("packages", name));
  return [".", "test", ...packages].map((folder) => join(ROOT, folder, "package.json")).filter((file) => existsSync(file));
}

/** Whether the dashboard can be built: it has a recipe. */
export function hasDashboard() {
  return existsSync(join(ROOT, "packages/dashboard/vite.config.ts"));
}

/** For each step of set-up: a hash of all it depends on, and a file it leaves behind. */
export function stepInputs() {
  const lock = [join(ROOT, "pnpm-lock.yaml"), join(ROOT, "pnpm-workspace.yaml")];
  const packages = hashOf([process.platform, process.arch], [...lock, ...manifests()]);
  const named = process.env.CLUSTERD_ENGINE_DIR ?? "";
  // The engine keeps its own cache by its own fingerprint; this only tells whether it has to be asked.
  const engine = hashOf([packages, named, cacheFolder()], filesBelow(join(ROOT, "packages/engine/cmake"), new Set()));
  const page = filesBelow(join(ROOT, "packages/dashboard"), new Set(["node_modules", "dist"]));
  const wire = filesBelow(join(ROOT, "packages/wire/src"), new Set());
  const dashboard = hashOf(
    [packages],
    [...page, ...wire].filter((file) => !file.endsWith(".test.ts")),
  );
  return {
    packages: { hash: packages, leaves: join(ROOT, "node_modules/.modules.yaml") },
    engine: { hash: engine, leaves: null },
    dashboard: { hash: dashboard, leaves: hasDashboard() ? join(ROOT, "packages/dashboard/dist/index.html") : null },
  };
}
