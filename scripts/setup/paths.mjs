import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** The user's cache folder for clusterd, by each system's custom. The engine's cache lies there too. */
export function cacheFolder() {
  if (process.platform === "win32") return join(process.env.LOCALAPPDATA ?? join(homedir(), "AppData", "Local"), "clusterd");
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "clusterd");
  const xdg = process.env.XDG_CACHE_HOME;
  return join(xdg?.startsWith("/") ? xdg : join(homedir(), ".cache"), "clusterd");
}

/** What set-up remembers of this checkout lies in the user's cache: the package manager owns node_modules. */
export const CHECKOUT_CACHE = join(cacheFolder(), "checkouts", createHash("sha256").update(ROOT).digest("hex").slice(0, 16));

/** The oldest Node that runs clusterd. */
export const NODE_MAJOR_MIN = 24;

/** A Node new enough: the one that npm brought on Linux, else the one running, where it is new enough; else null. */
export function newNode() {
  const own = join(ROOT, "node_modules", ".bin", "node");
  if (process.platform === "linux" && existsSync(own)) return own;
  return Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN ? process.execPath : null;
}
