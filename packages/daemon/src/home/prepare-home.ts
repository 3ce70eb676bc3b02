import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { ClusterdError } from "@clusterd/wire";
import type { HomePaths } from "./paths.ts";

/** Makes the home and its folders. Throws `home_unusable` with the path and the reason where that cannot be. */
export async function prepareHome(paths: HomePaths): Promise<void> {
  try {
    await mkdir(paths.home, { recursive: true, mode: 0o700 });
    for (const folder of [paths.models, paths.cache, paths.logs]) await mkdir(folder, { recursive: true, mode: 0o700 });
    await access(paths.home, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ClusterdError("home_unusable", `The home ${paths.home} cannot be used: ${reason}`, {
      next: "Give another folder with --home DIR (or CLUSTERD_HOME), or make this one writable for you.",
      cause: error,
    });
  }
}
