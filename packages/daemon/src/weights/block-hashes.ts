import { hashBlock, type Block, type HeldModel } from "@clusterd/catalog";

/** Of each model, by block: what has been reckoned once for others is not read again. 64 bytes for each block. */
const reckoned = new WeakMap<HeldModel, Map<number, string>>();

/** SHA-256 of a block as it is held here. */
export async function hashOf(model: HeldModel, block: Block): Promise<string> {
  const written = model.has(block) ? (model.digest?.(block) ?? null) : null;
  if (written !== null) return written;
  const known = reckoned.get(model) ?? new Map<number, string>();
  reckoned.set(model, known);
  const before = known.get(block.index);
  if (before !== undefined) return before;
  const sha256 = await hashBlock(await model.read(block));
  known.set(block.index, sha256);
  return sha256;
}
