import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isFile, isFolder, namesIn, FOREIGN_MODELS_MAX, type ForeignModel, type ForeignPlaces } from "./foreign-model.ts";

const MODEL_LAYER = "application/vnd.ollama.image.model";
const DIGEST = /^sha256:([0-9a-f]{64})$/u;
const MANIFEST_BYTES_MAX = 1024 * 1024;
const HOME_REGISTRY = "registry.ollama.ai";
/** Where Ollama keeps models when it runs as a service on Linux. */
const SERVICE_FOLDER = "/usr/share/ollama/.ollama/models";

/** Ollama's store: manifests by registry, namespace, name and tag; weights as blobs by digest. */
export async function ollamaModels({ env, homeDir, platform }: ForeignPlaces): Promise<readonly ForeignModel[]> {
  const own = env["OLLAMA_MODELS"] ?? join(homeDir, ".ollama", "models");
  const folders = platform === "linux" && env["OLLAMA_MODELS"] === undefined ? [own, SERVICE_FOLDER] : [own];
  return (await Promise.all(folders.map(modelsIn))).flat().slice(0, FOREIGN_MODELS_MAX);
}

async function modelsIn(folder: string): Promise<readonly ForeignModel[]> {
  const found: ForeignModel[] = [];
  for (const [registry, space, name, tag] of await paths(join(folder, "manifests"), 4)) {
    if (registry === undefined || space === undefined || name === undefined || tag === undefined) continue;
    const digest = await weightsOf(join(folder, "manifests", registry, space, name, tag));
    const path = digest === null ? null : join(folder, "blobs", `sha256-${digest}`);
    if (path === null || !(await isFile(path))) continue;
    const where = registry === HOME_REGISTRY ? "" : `${registry}/`;
    const owner = registry === HOME_REGISTRY && space === "library" ? "" : `${space}/`;
    found.push({ source: "ollama", id: `${where}${owner}${name}:${tag}`, path });
  }
  return found;
}

/** Paths of `depth` names below a folder. */
async function paths(folder: string, depth: number): Promise<readonly (readonly string[])[]> {
  const names = await namesIn(folder);
  if (depth === 1) return names.map((name) => [name]);
  const found: (readonly string[])[] = [];
  for (const name of names) {
    if (!(await isFolder(join(folder, name)))) continue;
    for (const rest of await paths(join(folder, name), depth - 1)) found.push([name, ...rest]);
    if (found.length > FOREIGN_MODELS_MAX) break;
  }
  return found;
}

/** The digest of a manifest's weights; null where it has none, or is no manifest. */
async function weightsOf(path: string): Promise<string | null> {
  try {
    const text = await readFile(path, "utf8");
    if (text.length > MANIFEST_BYTES_MAX) return null;
    const { layers } = JSON.parse(text) as { layers?: unknown };
    const list = Array.isArray(layers) ? (layers as readonly unknown[]) : [];
    const weights = list.find((layer) => (layer as { mediaType?: unknown } | null)?.mediaType === MODEL_LAYER);
    return DIGEST.exec(String((weights as { digest?: unknown } | undefined)?.digest))?.[1] ?? null;
  } catch {
    return null;
  }
}
