import type { Aliases, AliasChange, AliasSetting } from "@clusterd/gateway";
import { ClusterdError, sameModel, type AliasTarget, type AliasView, type ModelId } from "@clusterd/wire";
import type { SharedSettings } from "../settings/shared-settings.ts";
import { ALIAS_PREFIX, aliasName, ledTo, parseAlias, promoted, rolledBack } from "./alias-record.ts";
import { pickTarget } from "./pick-target.ts";

/** Aliases of one cluster. */
export const ALIASES_MAX = 128;

export interface AliasBookConfig {
  readonly settings: SharedSettings;
  /** The id of a model that is deployed or that a node has, by any name of its own; null: no model is called so. */
  modelNamed(name: string): ModelId | null;
  /** Whether a model answers now. */
  isReady(model: ModelId): boolean;
}

export interface AliasBook extends Aliases {
  /** Refuses a name that cannot become an alias, before anything is done for it. */
  checkName(alias: string): void;
  /** The model that a person means by a name: never an alias's canary. */
  targetOf(name: string): string;
  /** The aliases that lead to a model, not counting canaries. */
  namesOf(model: ModelId): readonly string[];
  /** Calls back after every change, here or elsewhere; returns what ends that. */
  onChange(listener: () => void): () => void;
}

/** The aliases of the cluster, kept in its shared settings: a change is in force here at once, elsewhere within a second. */
export function createAliasBook({ settings, modelNamed, isReady }: AliasBookConfig): AliasBook {
  const keyOf = (alias: string): string => ALIAS_PREFIX + alias.trim().toLowerCase();
  // Looked at by every request: read once for each change.
  let all: ReadonlyMap<string, AliasView> | null = null;
  settings.subscribe((keys) => {
    if (keys.some((key) => key.startsWith(ALIAS_PREFIX))) all = null;
  });
  function book(): ReadonlyMap<string, AliasView> {
    all ??= new Map(
      settings.entries(ALIAS_PREFIX).flatMap(([key, value]) => {
        const found = parseAlias(value);
        return found === null ? [] : [[key, found] as const];
      }),
    );
    return all;
  }

  /** The alias that a name is; null where it is none. A model's own name means that model, whoever brought it after the alias was made. */
  function ledFrom(name: string): AliasView | null {
    const found = book().get(keyOf(name));
    return found === undefined || modelNamed(name) !== null ? null : found;
  }

  function checkName(given: string): void {
    const name = aliasName(given);
    const model = modelNamed(name);
    if (model !== null) {
      throw new ClusterdError("invalid_request", `${name} cannot be an alias: it names the model ${model} already.`, {
        param: "alias",
      });
    }
  }

  function known(alias: string): AliasView {
    const found = book().get(keyOf(alias));
    if (found !== undefined) return found;
    const names = [...book().values()].map((each) => each.alias);
    throw new ClusterdError("not_found", `There is no alias ${JSON.stringify(alias.slice(0, 100))}.`, {
      param: "alias",
      next: names.length === 0 ? "Make it: clusterd alias NAME MODEL" : `Aliases: ${names.join(", ")}.`,
    });
  }

  function mustKnow(name: string, param: string): ModelId {
    const found = modelNamed(name);
    if (found !== null) return found;
    const isAlias = book().has(keyOf(name));
    throw new ClusterdError(
      "model_not_found",
      `${JSON.stringify(name.slice(0, 200))} is ${isAlias ? "an alias itself" : "no model here"}.`,
      {
        param,
        next: "An alias leads to a model that is deployed, or that a node has: clusterd models",
      },
    );
  }

  /** Where a `set` leads. */
  function asked(change: AliasSetting, now: AliasView | null): AliasTarget {
    const { model, canary } = change;
    if (model === undefined && canary === undefined)
      throw new ClusterdError("invalid_request", "An alias needs a model, or a canary beside the one it has.", {
        param: "model",
      });
    const target = model === undefined ? (now ?? known(change.alias)).model : mustKnow(model, "model");
    if (canary === undefined) return { model: target, canary: null };
    const second = mustKnow(canary.model, "canary");
    if (sameModel(second, target))
      throw new ClusterdError("invalid_request", `${second} cannot be the canary beside itself.`, { param: "canary" });
    return { model: target, canary: { model: second, share: canary.share } };
  }

  function changed(change: AliasChange): AliasView | null {
    if (change.action !== "set") {
      const now = known(change.alias);
      if (change.action === "remove") return null;
      return change.action === "promote" ? promoted(now) : rolledBack(now);
    }
    checkName(change.alias);
    const now = book().get(keyOf(change.alias)) ?? null;
    if (now === null && book().size >= ALIASES_MAX)
      throw new ClusterdError("invalid_request", `There are ${ALIASES_MAX} aliases already.`, { next: "Remove one." });
    return ledTo(aliasName(change.alias), now, asked(change, now));
  }

  return {
    list: () => [...book().values()],
    checkName,
    async change(change) {
      const next = changed(change);
      await settings.set(keyOf(change.alias), next);
      return next;
    },
    targetOf: (name) => ledFrom(name)?.model ?? name,
    meant(name, conversation) {
      const found = ledFrom(name);
      if (found === null) return name;
      return pickTarget(found.alias, found, conversation, { isReady, chance: Math.random });
    },
    namesOf: (model) => [...book().values()].filter((each) => sameModel(each.model, model)).map((each) => each.alias),
    onChange: (listener) =>
      settings.subscribe((keys) => {
        if (keys.some((key) => key.startsWith(ALIAS_PREFIX))) listener();
      }),
  };
}
