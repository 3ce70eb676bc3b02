import { basename, join } from "node:path";
import { partName } from "../split-parts.ts";
import { ggufFilesIn, type ForeignModel, type ForeignPlaces } from "./foreign-model.ts";

const NOT_A_MODEL = /(?:^|[-._])(?:mmproj|imatrix)(?:[-._]|$)/iu;

/** llama.cpp's own cache: one flat folder, `OWNER_REPO_FILE.gguf`. */
export async function llamaCacheModels({ env, homeDir, platform }: ForeignPlaces): Promise<readonly ForeignModel[]> {
  const byPlatform =
    platform === "darwin"
      ? join(homeDir, "Library", "Caches")
      : platform === "win32"
        ? (env["LOCALAPPDATA"] ?? join(homeDir, "AppData", "Local"))
        : (env["XDG_CACHE_HOME"] ?? join(homeDir, ".cache"));
  const folder = env["LLAMA_CACHE"] ?? join(byPlatform, "llama.cpp");
  const files = await ggufFilesIn(folder, 0);
  return files
    .filter((name) => !NOT_A_MODEL.test(name.replace(/\.gguf$/iu, "")) && (partName(name)?.number ?? 1) === 1)
    .map((name) => ({
      source: "llama.cpp" as const,
      id: partName(name)?.stem ?? basename(name).replace(/\.gguf$/iu, ""),
      path: join(folder, name),
    }));
}
