import type { ModelId } from "./ids.ts";

/** Where an alias leads. */
export interface AliasTarget {
  readonly model: ModelId;
  /** The model that a share of the requests goes to, 0 to 1, while it is ready. */
  readonly canary: { readonly model: ModelId; readonly share: number } | null;
}

/** A further name for a model, in the whole cluster. */
export interface AliasView extends AliasTarget {
  readonly alias: string;
  /** Where it led before, the latest first. */
  readonly before: readonly AliasTarget[];
}
