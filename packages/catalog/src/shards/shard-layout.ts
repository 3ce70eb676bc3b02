import { ClusterdError } from "@clusterd/wire";
import type { GuardedHeader } from "../header-guard.ts";
import { MODEL_BYTES_MAX } from "../limits.ts";
import { groupOf, type WeightGroup } from "../weight-table.ts";

/**
 * A model's bytes, cut into blocks that each belong to one group of tensors: what nodes fetch, verify and pass on. The same model has the
 * same blocks on every node, for they follow from its header alone.
 */
export interface ShardLayout {
  readonly parts: readonly ShardPart[];
  readonly blocks: readonly Block[];
  /** Layers for later tokens: no stage's, but the head's, should it guess with them. Absent: none. */
  readonly nextTokens?: ReadonlySet<number>;
}

export interface ShardPart {
  readonly fileBytes: number;
  /** Before it is the header, which every node has. */
  readonly dataStart: number;
}

/** A layer's number; `head`: the embeddings and the output, which lie on the head; null: the few others, which every stage has. */
export type BlockGroup = WeightGroup | "head";

export interface Block {
  readonly index: number;
  readonly part: number;
  /** Bytes from that part's start. */
  readonly position: number;
  readonly bytes: number;
  readonly group: BlockGroup;
}

/** What a node of a deployment needs of a model. */
export interface ShardWish {
  readonly firstLayer: number;
  /** Below `firstLayer` where it needs no layer. */
  readonly lastLayer: number;
  readonly isHead: boolean;
}

/** The largest block: what is fetched, held and verified at a time. 400 GB are 50,000 of them. */
export const BLOCK_BYTES: number = 8 * 1024 * 1024;

const ON_THE_HEAD: ReadonlySet<string> = new Set(["token_embd.weight", "output.weight"]);

const blockGroup = (name: string): BlockGroup => (ON_THE_HEAD.has(name) ? "head" : groupOf(name));

/** The layout of a model by its parts' headers, in order. Tensors of one group that lie one after the other share blocks. */
export function layoutOf(headers: readonly Pick<GuardedHeader, "fileBytes" | "dataStart" | "tensors">[]): ShardLayout {
  const blocks: Block[] = [];
  // Sizes come from whoever has the files, and blocks are made of them.
  if (headers.reduce((sum, { fileBytes }) => sum + fileBytes, 0) > MODEL_BYTES_MAX)
    throw new ClusterdError("model_broken", "The model's files are said to be larger than any model.");
  for (const [part, { dataStart, fileBytes, tensors }] of headers.entries()) {
    const starts = tensors.map(({ name, offset }) => ({ at: dataStart + offset, group: blockGroup(name) }));
    // Runs of tensors of one group; a run ends where the next begins, so that padding belongs to one of them.
    const runs = starts.filter(({ group }, index) => index === 0 || starts[index - 1]?.group !== group);
    for (const [index, { at, group }] of runs.entries()) {
      const end = runs[index + 1]?.at ?? fileBytes;
      for (let position = at; position < end; position += BLOCK_BYTES)
        blocks.push({ index: blocks.length, part, position, bytes: Math.min(BLOCK_BYTES, end - position), group });
    }
  }
  return {
    parts: headers.map(({ fileBytes, dataStart }) => ({ fileBytes, dataStart })),
    blocks,
    nextTokens: nextTokensOf(headers),
  };
}

/** The blocks that a node needs for its place in a pipeline. */
export function blocksFor({ blocks, nextTokens }: ShardLayout, wish: ShardWish): readonly Block[] {
  const { firstLayer, lastLayer, isHead } = wish;
  return blocks.filter(({ group }) =>
    group === "head"
      ? isHead
      : group === null || (group >= firstLayer && group <= lastLayer) || (isHead && nextTokens?.has(group) === true),
  );
}

/** The layers that have what joins a hidden state with the next token's embedding. */
function nextTokensOf(headers: readonly Pick<GuardedHeader, "tensors">[]): ReadonlySet<number> {
  const joining = headers.flatMap(({ tensors }) => tensors.filter(({ name }) => name.endsWith(".nextn.eh_proj.weight")));
  return new Set(joining.map(({ name }) => groupOf(name)).filter((group) => group !== null));
}

/** Bytes of some blocks. */
export function bytesOf(blocks: readonly Block[]): number {
  return blocks.reduce((sum, { bytes }) => sum + bytes, 0);
}
