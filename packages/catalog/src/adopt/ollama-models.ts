import { join } from "node:path";
import {
  FOREIGN_MODELS_MAX,
  isFile,
  isFolder,
  namesIn,
  smallFile,
  type ForeignModel,
  type ForeignPlaces,
} from "./foreign-model.ts";

const MODEL_LAYER = "application/vnd.ollama.image.model";
const PROJECTOR_LAYER = "application/vnd.ollama.image.projector";
const DIGEST = /^sha256[:-]([0-9a-f]{64})$/u;
const HOME_REGISTRY = "registry.ollama.ai";
/** Where Ollama keeps models when it runs as a service on Linux. */
const SERVICE_FOLDER = "/usr/share/ollama/.ollama/models";

/** Ollama's store: manifests by registry, namespace, name and tag; weights as blobs by digest. Tags that share a blob are one model's names. */
export async function ollamaModels(places: ForeignPlaces): Promise<readonly ForeignModel[]> {
  const { env, homeDir, platform } = places;
  const chosen = env["OLLAMA_MODELS"] || null;
  const own = chosen ?? join(homeDir, ".ollama", "models");
  const folders = platform === "linux" && chosen === null ? [own, SERVICE_FOLDER] : [own];
  return (await Promise.all(folders.map((folder) => modelsIn(places, folder)))).flat().slice(0, FOREIGN_MODELS_MAX);
}

async function modelsIn(places: ForeignPlaces, folder: string): Promise<readonly ForeignModel[]> {
  const found = new Map<string, ForeignModel & { readonly aliases: string[] }>();
  for (const [registry, space, name, tag] of await paths(places, join(folder, "manifests"), 4)) {
    if (registry === undefined || space === undefined || name === undefined || tag === undefined) continue;
    const manifest = await smallFile(places, join(folder, "manifests", registry, space, name, tag));
    const { model, projector } = layersOf(manifest);
    // A digest is 64 hexadecimal digits and so no way out of the folder of blobs.
    const blob = (digest: string): string => join(folder, "blobs", `sha256-${digest}`);
    if (model === null || !(await isFile(blob(model)))) continue;
    const where = registry === HOME_REGISTRY ? "" : `${registry}/`;
    const owner = registry === HOME_REGISTRY && space === "library" ? "" : `${space}/`;
    const id = `${where}${owner}${name}:${tag}`;
    const seesImages = projector !== null && (await isFile(blob(projector)));
    const known = found.get(model);
    if (known !== undefined) {
      known.aliases.push(id);
      if (seesImages && known.projectorPath === undefined) found.set(model, { ...known, projectorPath: blob(projector) });
      continue;
    }
    const further = seesImages ? { projectorPath: blob(projector) } : {};
    found.set(model, { source: "ollama", id, aliases: [], path: blob(model), sha256: model, ...further });
  }
  return [...found.values()];
}

/** Paths of `depth` names below a folder. */
async function paths(places: ForeignPlaces, folder: string, depth: number): Promise<readonly (readonly string[])[]> {
  const names = await namesIn(places, folder);
  if (depth === 1) return names.map((name) => [name]);
  const found: (readonly string[])[] = [];
  for (const name of names) {
    if (!(await isFolder(join(folder, name)))) continue;
    for (const rest of await paths(places, join(folder, name), depth - 1)) found.push([name, ...rest]);
    if (found.length > FOREIGN_MODELS_MAX) break;
  }
  return found;
}

/** The digests of a manifest's weights and of what lets it see; null where it has none, or is no manifest. */
function layersOf(text: string): { readonly model: string | null; readonly projector: string | null } {
  try {
    const { layers } = JSON.parse(text) as { layers?: unknown };
    const list = Array.isArray(layers) ? (layers as readonly unknown[]) : [];
    const digestOf = (mediaType: string): string | null => {
      const layer = list.find((each) => (each as { mediaType?: unknown } | null)?.mediaType === mediaType);
      return DIGEST.exec(String((layer as { digest?: unknown } | undefined)?.digest))?.[1] ?? null;
    };
    return { model: digestOf(MODEL_LAYER), projector: digestOf(PROJECTOR_LAYER) };
  } catch {
    return { model: null, projector: null };
  }
}
