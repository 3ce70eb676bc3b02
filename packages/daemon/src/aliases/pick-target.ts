import { createHash } from "node:crypto";
import type { AliasTarget, ModelId } from "@clusterd/wire";

const BITS = 48;

/**
 * The model for one request of an alias. A conversation's place between 0 and 1 comes from its hash, the same on every node: below the
 * canary's share it is the canary's, and stays so when the share grows. `chance`: the place of a request without conversation. While
 * the canary cannot serve, all is the model's.
 */
export function pickTarget(
  alias: string,
  { model, canary }: AliasTarget,
  conversation: string | null,
  { isReady, chance }: { isReady(model: ModelId): boolean; chance(): number },
): ModelId {
  if (canary === null) return model;
  const place = conversation === null ? chance() : placeOf(`${alias.toLowerCase()}\n${conversation}`);
  return place < canary.share && isReady(canary.model) ? canary.model : model;
}

function placeOf(text: string): number {
  return (
    createHash("sha256")
      .update(text)
      .digest()
      .readUIntBE(0, BITS / 8) /
    2 ** BITS
  );
}
