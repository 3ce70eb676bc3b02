import type { Catalog, LastUse, ShardStore } from "@clusterd/catalog";
import type { ContentId } from "@clusterd/wire";
import type { RemoveConfig } from "../pulls/remove-model.ts";
import type { Pulls } from "../pulls/pulls.ts";
import type { Store } from "../state/store.ts";
import type { SwarmConfig } from "../swarm/swarm.ts";
import { createBeforeUse, type BeforeUse } from "./before-use.ts";
import { createKeeping, type Keeping } from "./keeping.ts";
import { createRepair } from "./repair.ts";
import type { UseBook } from "./use-book.ts";
import { createVerifier, type Verifier } from "./verifier.ts";

export interface OwnKeepingConfig {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly shards: ShardStore;
  readonly modelsDir: string;
  readonly capBytes: number | null;
  readonly uses: UseBook;
  readonly lastUse: LastUse;
  readonly swarm: SwarmConfig;
  pulls(): Pulls;
  close(contentId: ContentId): Promise<void>;
  changed(): void;
  onEvicted(evicted: { readonly model: string; readonly what: string; readonly bytes: number }): void;
  log(message: string): void;
  readonly signal: AbortSignal;
}

/** What is done so that the models on this node's disk stay right, and within their limit. */
export interface OwnKeeping extends AsyncDisposable, Omit<RemoveConfig, "store" | "catalog"> {
  readonly keeping: Keeping;
  readonly beforeUse: BeforeUse;
  readonly verifier: Verifier;
}

export function createOwnKeeping(config: OwnKeepingConfig): OwnKeeping {
  const { store, lastUse } = config;
  const used = (contentId: ContentId): void => lastUse.used(contentId);
  const stack = new AsyncDisposableStack();
  const keeping = stack.use(createKeeping({ ...config, usedAt: (key) => lastUse.at(key), used }));
  const repair = createRepair({
    ...config,
    hubOf: (contentId) => [...store.state.deployments.values()].find((one) => one.contentId === contentId)?.asked.hub ?? null,
  });
  const isNeeded = (contentId: ContentId): boolean => keeping.needed().some((part) => part.contentId === contentId);
  const verifier = stack.use(createVerifier({ ...config, repair, isNeeded }));
  return {
    keeping,
    shards: config.shards,
    modelsDir: config.modelsDir,
    close: config.close,
    changed: config.changed,
    beforeUse: createBeforeUse({ ...config, repair, used }),
    verifier,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
