import { stat } from "node:fs/promises";
import type { ModelFile } from "@clusterd/catalog";
import { ClusterdError, placeOf, type NodeId, type PlanStage } from "@clusterd/wire";
import { groupsOf, type ModelWeights } from "./model-weights.ts";

/** Of a file's length, what it takes on the disk at least where it has no holes: blocks are counted, not bytes. */
const FULL_SHARE = 0.999;

export interface OwnHolesOptions {
  readonly self: NodeId;
  readonly model: string;
  readonly file: ModelFile;
  readonly stages: readonly PlanStage[];
  /** Whether it guesses with the model's layers for later tokens, which are then its own as well. */
  readonly nextTokens?: boolean;
  readonly weights: Pick<ModelWeights, "open">;
  readonly signal: AbortSignal;
}

/**
 * For a head that reads its own layers from a file of its own: throws `model_broken` where one of them is a hole there. An engine would
 * compute with zeros and never know. A file that takes as much of the disk as it is long has none, and costs a look.
 */
export async function checkOwnHoles(options: OwnHolesOptions): Promise<void> {
  const { self, model, file, stages, nextTokens = false, weights, signal } = options;
  if (!(await isSparse(file.parts))) return;
  const open = await weights.open(file.profile.contentId, signal);
  const { layers, nextTokenLayers } = file.profile;
  const guessing = { firstLayer: layers.length - nextTokenLayers, lastLayer: layers.length - 1 };
  const own = stages.filter(({ node }) => placeOf(node as NodeId).node === self);
  for (const stage of nextTokens && nextTokenLayers > 0 ? [...own, guessing] : own) {
    const groups = groupsOf(stage);
    const digests = await open.digests(groups, signal);
    const hole = groups.find((group, index) => group !== null && digests[index] === null);
    if (hole === undefined || hole === null) continue;
    throw new ClusterdError("model_broken", `Layer ${hole} of ${model} is a hole in ${file.path}: there is nothing but zeros.`, {
      next: "Put a whole copy in its place, or have the layer run where there is one: --pin NODE=FIRST-LAST.",
    });
  }
}

async function isSparse(paths: readonly string[]): Promise<boolean> {
  for (const path of paths) {
    const { size, blocks } = await stat(path);
    if (blocks * 512 < size * FULL_SHARE) return true;
  }
  return false;
}
