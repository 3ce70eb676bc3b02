import { basename, join } from "node:path";
import { hubId } from "@clusterd/wire";
import { modelsAmong } from "../remote/choose-files.ts";
import { partName } from "../split-parts.ts";
import { ggufFilesIn, namesIn, smallFile, type ForeignModel, type ForeignPlaces } from "./foreign-model.ts";

const NOT_A_MODEL = /(?:^|[-._])(?:mmproj|imatrix)(?:[-._]|$)/iu;
const MANIFEST = /^manifest=(?<owner>[\w][\w.-]{0,95})=(?<repo>[\w][\w.-]{0,95})=(?<tag>[\w.-]{1,64})\.json$/u;

/**
 * llama.cpp's cache of before: one flat folder, `OWNER_REPO_FILE.gguf`, and for what came by `-hf` a `manifest=OWNER=REPO=TAG.json` that says
 * which file is which repository's. (Today it keeps models as Hugging Face's tools do: see hub-cache.ts.)
 */
export async function llamaCacheModels(places: ForeignPlaces): Promise<readonly ForeignModel[]> {
  const { env, homeDir, platform } = places;
  const byPlatform =
    platform === "darwin"
      ? join(homeDir, "Library", "Caches")
      : platform === "win32"
        ? env["LOCALAPPDATA"] || join(homeDir, "AppData", "Local")
        : env["XDG_CACHE_HOME"] || join(homeDir, ".cache");
  const folder = env["LLAMA_CACHE"] || join(byPlatform, "llama.cpp");
  const files = await ggufFilesIn(places, folder, 0);
  const known = await manifestsIn(places, folder, files);
  return files
    .filter((name) => !NOT_A_MODEL.test(name.replace(/\.gguf$/iu, "")) && (partName(name)?.number ?? 1) === 1)
    .map((name) => {
      const called = partName(name)?.stem ?? basename(name).replace(/\.gguf$/iu, "");
      const manifest = known.get(name);
      const path = join(folder, name);
      if (manifest === undefined) return { source: "llama.cpp" as const, id: called, path };
      const { id, projector } = manifest;
      return {
        source: "llama.cpp" as const,
        id,
        aliases: [called],
        path,
        ...(projector === null ? {} : { projectorPath: join(folder, projector) }),
      };
    });
}

interface Manifest {
  readonly id: string;
  /** A file's name in the folder. */
  readonly projector: string | null;
}

/** What the manifests say of the files that are there. They name files of a repository, and what they name is looked for in this folder alone. */
async function manifestsIn(
  places: ForeignPlaces,
  folder: string,
  files: readonly string[],
): Promise<ReadonlyMap<string, Manifest>> {
  const found = new Map<string, Manifest>();
  for (const name of await namesIn(places, folder)) {
    const { owner, repo } = MANIFEST.exec(name)?.groups ?? {};
    if (owner === undefined || repo === undefined) continue;
    const { model, projector } = filesOf(await smallFile(places, join(folder, name)));
    if (model === null) continue;
    // A slash would lead elsewhere; llama.cpp puts `_` in its place.
    const kept = (path: string): string => `${owner}_${repo}_${path.replaceAll("/", "_")}`;
    const [{ quantisation } = { quantisation: null }] = modelsAmong([{ path: model, bytes: null, sha256: null }]);
    const file = files.find((each) => each === kept(model));
    if (file === undefined || quantisation === null) continue;
    const beside = projector === null ? undefined : files.find((each) => each === kept(projector));
    found.set(file, { id: hubId(`${owner}/${repo}`, quantisation, null), projector: beside ?? null });
  }
  return found;
}

function filesOf(text: string): { readonly model: string | null; readonly projector: string | null } {
  try {
    const { ggufFile, mmprojFile } = JSON.parse(text) as Readonly<Record<string, { readonly rfilename?: unknown } | undefined>>;
    const named = (value: unknown): string | null => (typeof value === "string" && value.length < 1024 ? value : null);
    return { model: named(ggufFile?.rfilename), projector: named(mmprojFile?.rfilename) };
  } catch {
    // No manifest, or one of a form that is not known here.
    return { model: null, projector: null };
  }
}
