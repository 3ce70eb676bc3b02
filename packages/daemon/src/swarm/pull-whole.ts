import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { Catalog, CatalogPullOptions, ModelFile, PulledModel } from "@clusterd/catalog";
import { asClusterdError, ClusterdError, parseHubName, type ContentId } from "@clusterd/wire";
import { modelAmongMembers } from "./swarm-members.ts";
import { copyWhole, type WholeCopyConfig } from "./whole-copy.ts";

/** For where a model is on the hub, of one that the members have: it is good to know, for its digests and for what they lack. */
const PLACE_MS_MAX = 60_000;
const READ_BYTES: number = 4 * 1024 * 1024;

export interface PullWholeConfig extends WholeCopyConfig {
  readonly catalog: Catalog;
  /** From the hub, as any pull. */
  readonly pull: Catalog["pull"];
  /** Plain files go into it. */
  readonly modelsDir: string;
}

/**
 * All of a model that members have between them, as plain files on this node: by its id, an alias or an `hf:` REF. From the members first,
 * and from the hub where it has the very same. Throws `not_found`, `shards_unreachable`, and as a pull does.
 */
export type PullWhole = (ref: string, options: CatalogPullOptions) => Promise<PulledModel>;

export function createPullWhole(config: PullWholeConfig): PullWhole {
  const { catalog, store, modelsDir, log } = config;

  return async (ref, options) => {
    const { signal, onProgress } = options;
    onProgress({ step: "listing", doneBytes: 0, totalBytes: 0 });
    const here = catalog.known(ref);
    if (here !== null) return alreadyHere(here, options);
    const found = modelAmongMembers(store.state, ref);
    if (found === null && (parseHubName(ref) === null || !/^hf:|\//iu.test(ref)))
      throw new ClusterdError("not_found", `No member has ${ref}, whole or in parts.`, {
        next: "See what there is: clusterd models. What a hub has is fetched by: clusterd pull hf:OWNER/REPO",
      });
    const hubRef = await onHub(found, ref, signal);
    if (hubRef !== null) return config.pull(hubRef, options);
    if (found === null) throw new ClusterdError("not_found", `No member has ${ref}, and the hub neither.`);
    const copy = await copyWhole(config, {
      contentId: found.contentId,
      model: found.id,
      hub: null,
      sha256: () => null,
      targets: (names) => names.map((name) => join(modelsDir, name)),
      id: null,
      signal,
      onProgress,
    });
    if (copy === null) throw new ClusterdError("model_broken", `${found.id} came with wrong bytes.`);
    await catalog.refresh(signal);
    const file = catalog.byContent(found.contentId);
    if (file === null)
      throw new ClusterdError("model_broken", `${copy.path} is another model than ${found.id}.`, {
        next: `See what it is: clusterd plan ${copy.path}`,
      });
    catalog.alsoCalled(found.contentId, found.id);
    return { id: file.profile.id, path: copy.path, bytes: copy.bytes, sha256: ofAll(copy.sha256) };
  };

  /** The REF by which the hub has this very model; null: by none. Where no member has any of it, whatever the hub has under its name. */
  async function onHub(
    found: { readonly contentId: ContentId; readonly id: string } | null,
    ref: string,
    signal: AbortSignal,
  ): Promise<string | null> {
    const asHub = (name: string): string => (name.toLowerCase().startsWith("hf:") ? name : `hf:${name}`);
    if (found === null) return asHub(ref);
    if (parseHubName(found.id)?.quantisation == null) return null;
    const hubRef = asHub(found.id);
    try {
      const { profile } = await catalog.locate(hubRef, AbortSignal.any([signal, AbortSignal.timeout(PLACE_MS_MAX)]));
      if (profile.contentId === found.contentId) return hubRef;
      log(`the hub has another ${found.id} by now: the members' is copied`);
    } catch (error) {
      signal.throwIfAborted();
      log(`${found.id} comes from the members alone: ${asClusterdError(error).message}`);
    }
    return null;
  }
}

/** A model that is here whole already: only its digest is still to be told. */
async function alreadyHere(
  { parts, path, profile }: ModelFile,
  { signal, onProgress }: CatalogPullOptions,
): Promise<PulledModel> {
  const digests: string[] = [];
  let doneBytes = 0;
  for (const part of parts) {
    const hash = createHash("sha256");
    for await (const piece of createReadStream(part, { highWaterMark: READ_BYTES, signal }) as AsyncIterable<Buffer>) {
      hash.update(piece);
      onProgress({ step: "verifying", doneBytes: (doneBytes += piece.length), totalBytes: profile.fileBytes });
    }
    digests.push(hash.digest("hex"));
  }
  return { id: profile.id, path, bytes: doneBytes, sha256: ofAll(digests) };
}

/** As a pull tells it: of the one file, or of the digests of all parts. */
function ofAll(digests: readonly string[]): string {
  return digests.length === 1 ? (digests[0] ?? "") : createHash("sha256").update(digests.join("")).digest("hex");
}
