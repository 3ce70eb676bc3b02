import type { Block, HeldShard } from "@clusterd/catalog";

/** What of a model a block is: `layer 3`. */
export function groupText({ group }: Block): string {
  if (typeof group === "number") return `layer ${group}`;
  return group === "head" ? "embeddings and output" : "what follows the last layer";
}

/** Where a block of a model's parts is wrong, in words. */
export function tellDamaged({ model, file }: HeldShard, block: Block): string {
  const last = block.position + block.bytes - 1;
  return (
    `${file.parts[block.part]}: bytes ${block.position}-${last} (${groupText(block)} of ${model}) are not as they were written. ` +
    `They are dropped, and fetched again when they are needed.`
  );
}
