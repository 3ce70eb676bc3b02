import type { AliasView } from "@clusterd/wire";

/** What is not given stays as it is, but that a new model begins without a canary. */
export interface AliasSetting {
  readonly alias: string;
  readonly action: "set";
  readonly model?: string;
  readonly canary?: { readonly model: string; readonly share: number };
}

/** `promote`: the canary becomes the model. `back`: to where it led before. */
export type AliasChange = AliasSetting | { readonly alias: string; readonly action: "promote" | "back" | "remove" };

/** The aliases of the cluster. */
export interface Aliases {
  list(): readonly AliasView[];
  /** The alias as it is then, null once removed. Throws `invalid_request`, `not_found` or `model_not_found` with what is wrong. */
  change(change: AliasChange): Promise<AliasView | null>;
  /**
   * The model that a request's name means: where it is an alias the one it leads to, else the name itself. One conversation always
   * means the same one of an alias's two, until the alias is changed; requests of none are shared out by chance.
   */
  meant(name: string, conversation: string | null): string;
}
