import { hashBlock, type Block } from "@clusterd/catalog";
import { ClusterdError } from "@clusterd/wire";

/** Others who are asked what a block is, before all are. */
const JURORS = 2;

export interface Juror {
  readonly name: string;
  has(block: Block): boolean;
  digest(block: Block, signal: AbortSignal): Promise<string | null>;
}

export interface Case {
  readonly block: Block;
  readonly bytes: Buffer;
  /** Who sent it. */
  readonly from: string;
  /** Who else may have it, those first whose word weighs most. */
  readonly jurors: readonly Juror[];
  /** The bytes as the hub has them, whose word is the last; null: there is no hub to ask. */
  readonly fromHub: ((signal: AbortSignal) => Promise<Buffer>) | null;
  readonly model: string;
}

/**
 * What a block must be by those who have it besides its sender; null: nobody else has it. Where they differ the hub decides, and without
 * one the majority. Throws `model_broken` where nobody can tell who is right.
 */
export async function judge({ block, bytes, from, jurors, fromHub, model }: Case, signal: AbortSignal): Promise<string | null> {
  const able = jurors.filter((juror) => juror.has(block));
  if (able.length === 0) return null;
  const ask = async (some: readonly Juror[]): Promise<readonly Vote[]> => {
    const told = await Promise.all(
      some.map(async ({ name, digest }) => ({ name, digest: await digest(block, signal).catch(() => null) })),
    );
    return told.filter((vote): vote is Vote => vote.digest !== null);
  };
  const sent = await hashBlock(bytes);
  const first = await ask(able.slice(0, JURORS));
  signal.throwIfAborted();
  if (first.length === 0) return null;
  if (first.every(({ digest }) => digest === sent)) return sent;
  if (fromHub !== null) return hashBlock(await fromHub(signal));
  const votes = [{ name: from, digest: sent }, ...first, ...(await ask(able.slice(JURORS)))];
  const counts = new Map<string, number>();
  for (const { digest } of votes) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  const winner = [...counts].find(([, count]) => count * 2 > votes.length);
  if (winner !== undefined) return winner[0];
  const names = votes.map(({ name }) => name).join(" and ");
  throw new ClusterdError("model_broken", `${names} have different bytes of ${model} (block ${block.index}).`, {
    next: "Nobody else has it who could say which are right: fetch it anew where it came from, and delete the other copy.",
  });
}

interface Vote {
  readonly name: string;
  readonly digest: string;
}
