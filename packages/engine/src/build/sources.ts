import { readdir, readFile, realpath } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ClusterdError } from "@clusterd/wire";

/** What the package manager brought that an engine is made of. */
export interface EngineSources {
  /** llama.cpp's release, e.g. `v0.5.0`. */
  readonly release: string;
  readonly packageVersion: string;
  /** A git bundle of llama.cpp's source at that release. */
  readonly bundle: string;
  readonly recipeFolder: string;
  /** Our changes to that release's source, as paths of patches. */
  readonly patches: readonly string[];
  /** The text of the recipe, whole: all that is ours of what is built. */
  readonly recipe: string;
  /** The folder of prebuilt libraries in one of node-llama-cpp's optional packages; null where it is not installed. */
  readonly prebuiltFolder: (packageName: string) => string | null;
}

const RECIPE_FOLDER = fileURLToPath(new URL("../../cmake", import.meta.url));

function packageFolder(name: string, from: string): string | null {
  try {
    const manifest = findPackageJSON(name, from);
    return manifest === undefined ? null : dirname(manifest);
  } catch {
    return null;
  }
}

/** Finds llama.cpp's source and libraries among the installed packages. */
export async function findEngineSources(): Promise<EngineSources> {
  const installed = packageFolder("node-llama-cpp", import.meta.url);
  if (installed === null) {
    throw new ClusterdError("engine_missing", "The package node-llama-cpp, which carries llama.cpp, is not installed.", {
      next: "Run `npm start` in the checkout (or install clusterd again) so that its packages are there.",
    });
  }
  // Its optional packages can be reached only from where it really lies.
  const folder = await realpath(installed);
  const base = pathToFileURL(join(folder, "package.json")).href;
  const [manifest, info] = await Promise.all([
    readFile(join(folder, "package.json"), "utf8"),
    readFile(join(folder, "llama", "llama.cpp.info.json"), "utf8"),
  ]);
  const release = (JSON.parse(info) as { readonly tag: string }).tag;
  // Another release gets no patches: its engine works all the same, only slower.
  const all = await readdir(join(RECIPE_FOLDER, "patches"));
  const patches = all.filter((name) => name.endsWith(`-${release}.patch`)).map((name) => join(RECIPE_FOLDER, "patches", name));
  const files = ["CMakeLists.txt", "rpc-facts.cpp", "probe-device.cpp"].map((name) => join(RECIPE_FOLDER, name));
  const own = [...files, ...patches.toSorted()];
  const recipe = (await Promise.all(own.map((path) => readFile(path, "utf8")))).join("\0");
  return {
    release,
    patches,
    packageVersion: (JSON.parse(manifest) as { readonly version: string }).version,
    bundle: join(folder, "llama", "gitRelease.bundle"),
    recipeFolder: RECIPE_FOLDER,
    recipe,
    prebuiltFolder: (name) => {
      const found = packageFolder(name, base);
      return found === null ? null : join(found, "bins");
    },
  };
}
