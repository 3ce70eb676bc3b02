import { homedir } from "node:os";
import { join, posix, win32 } from "node:path";

/** Where built engines live: in the user's cache folder, shared by all checkouts and homes. */
export function engineCacheFolder(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
  home: string = homedir(),
): string {
  if (platform === "win32") return win32.join(env["LOCALAPPDATA"] ?? win32.join(home, "AppData", "Local"), "clusterd", "engine");
  if (platform === "darwin") return posix.join(home, "Library", "Caches", "clusterd", "engine");
  // The XDG specification has relative paths ignored.
  const xdg = env["XDG_CACHE_HOME"];
  return join(xdg !== undefined && posix.isAbsolute(xdg) ? xdg : join(home, ".cache"), "clusterd", "engine");
}
