import { asModelId, type AliasView } from "@clusterd/wire";
import type { AliasChange, Aliases } from "../aliases.ts";

/** Aliases of the test's own; `changes`: what was asked of them. */
export interface FakeAliases extends Aliases {
  readonly changes: readonly AliasChange[];
  lead(alias: string, model: string): void;
}

export function fakeAliases(): FakeAliases {
  const all = new Map<string, AliasView>();
  const changes: AliasChange[] = [];
  return {
    changes,
    lead: (alias, model) => void all.set(alias.toLowerCase(), { alias, model: asModelId(model), canary: null, before: [] }),
    list: () => [...all.values()],
    async change(change) {
      changes.push(change);
      return all.get(change.alias.toLowerCase()) ?? null;
    },
    meant: (name) => all.get(name.toLowerCase())?.model ?? name,
  };
}
