import type { Block, ModelManifest } from "@clusterd/catalog";

/** A manifest that a member has told. */
export interface ToldManifest {
  readonly by: string;
  readonly manifest: ModelManifest;
}

/** What a block must be, by a manifest. */
export interface ManifestWord {
  readonly sha256: string;
  /** The member that told it; null: this node found it out of a copy of the hub's own. */
  readonly by: string | null;
}

/** What manifests say of a model's blocks while it is fetched. */
export interface ManifestWords {
  /** Null where nobody tells. `from`: who sent the block, whose own word of it counts for nothing. */
  about(block: Pick<Block, "index">, from: string): ManifestWord | null;
  /** Others have outvoted it: nothing that this member tells is relied on any more. */
  withdraw(by: string): void;
  /** What is worth keeping of it all; null where nobody told anything that has stood. */
  readonly kept: ModelManifest | null;
}

/** `own`: what this node knows by itself. Only what was made from a hub's verified copy counts. */
export function createManifestWords(own: ModelManifest | null, told: readonly ToldManifest[]): ManifestWords {
  let standing = told;
  const sure = own?.source === "hub" ? own : null;
  return {
    about({ index }, from) {
      const known = sure?.blocks[index] ?? null;
      if (known !== null) return { sha256: known, by: null };
      const words = standing.flatMap(({ by, manifest }) => {
        const sha256 = manifest.blocks[index] ?? null;
        return by === from || sha256 === null ? [] : [{ sha256, by }];
      });
      const [first] = words;
      // Of those that contradict each other none is better than the other: the block is judged as if there were none.
      return first === undefined || words.some(({ sha256 }) => sha256 !== first.sha256) ? null : first;
    },
    withdraw(by) {
      standing = standing.filter((one) => one.by !== by);
    },
    get kept() {
      return sure === null ? (standing[0]?.manifest ?? null) : null;
    },
  };
}

/** Of nothing known. */
export const NO_WORDS: ManifestWords = createManifestWords(null, []);
