import { ClusterdError, parseHubName } from "@clusterd/wire";
import { findKnown, namesNear } from "./known-models/find-known.ts";
import type { ModelFile } from "./read-model.ts";

const NAMED_MAX = 20;

/** Nobody's name: or one that only the catalogue of shapes knows, or a hub, of which there is no file here. */
export function nameless(ref: string, here: readonly { readonly file: ModelFile }[]): ClusterdError {
  const hub = ref.startsWith("hf:");
  if (hub)
    return new ClusterdError("not_found", `${ref} is not on this node.`, {
      next: `Fetch it: clusterd pull ${ref}. What it needs is told by: clusterd plan ${ref}`,
    });
  const shape = findKnown(ref);
  if (shape !== null)
    return new ClusterdError("not_found", `No node has ${ref}: the catalogue knows what it is like, not its weights.`, {
      next: `Fetch a GGUF of ${shape.model.source} in ${shape.quantisation} and give its path. To see where it would go: clusterd plan ${ref}`,
    });
  const near = namesNear(ref);
  const known = here.map(({ file }) => file.profile.id);
  return new ClusterdError("not_found", `No model is called ${JSON.stringify(ref)} here.`, {
    next:
      `Known models: ${known.length === 0 ? "none" : listed(known)}. Or give the path of a GGUF file.` +
      (parseHubName(ref) === null ? "" : ` From a hub: hf:${ref}.`) +
      (near.length === 0 ? "" : ` To plan, the catalogue has ${near.join(", ")}.`),
  });
}

/** A name that several models go by. */
export function ambiguousName(ref: string, candidates: readonly string[]): ClusterdError {
  return new ClusterdError("usage", `${ref} may be any of several models here: ${listed(candidates)}.`, {
    next: `Say which: ${candidates[0] ?? "OWNER/REPO:QUANT"}, for example.`,
    details: { candidates: candidates.slice(0, NAMED_MAX) },
  });
}

/** What `rm` was asked to delete and was never fetched. `file`: what goes by that name all the same. */
export function notPulled(ref: string, file: ModelFile | null): ClusterdError {
  return new ClusterdError("not_found", `${ref} was not pulled into this home.`, {
    next: file === null ? "See what there is: clusterd models" : `${file.path} is a file of your own: delete it yourself.`,
  });
}

function listed(names: readonly string[]): string {
  const more = names.length - NAMED_MAX;
  return names.slice(0, NAMED_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
