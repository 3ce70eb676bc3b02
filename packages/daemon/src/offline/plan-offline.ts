import { openCatalog, readModelFile } from "@clusterd/catalog";
import { plan } from "@clusterd/planner";
import type { KvType, ModelProfile, Objective, Pin, PlanResult, SpeculationWish } from "@clusterd/wire";
import { defaultHome, homePaths } from "../home/paths.ts";
import { BUNDLED_MODELS } from "./bundled-models.ts";
import { readInventory } from "./read-inventory.ts";

/** What `plan --nodes FILE` asks. */
export interface OfflinePlan {
  readonly ref: string;
  readonly inventoryFile: string;
  readonly home?: string;
  readonly objective?: Objective;
  readonly head?: string;
  readonly pin?: readonly Pin[];
  readonly without?: readonly string[];
  readonly ctx?: number;
  readonly slots?: number;
  readonly kv?: KvType;
  readonly flashAttention?: boolean;
  readonly draft?: string;
  readonly speculation?: SpeculationWish;
  readonly top?: number;
  readonly promptTokens?: number;
  readonly signal: AbortSignal;
}

/** A plan for an inventory file: no daemon, and no network but for `hf:` REFs. */
export async function planOffline(options: OfflinePlan): Promise<PlanResult> {
  const { signal, speculation, flashAttention, ctx, head, top, promptTokens } = options;
  const inventory = await readInventory(options.inventoryFile);
  const { home } = homePaths(defaultHome(options.home));
  const read = async (ref: string): Promise<ModelProfile> => {
    const bundled = BUNDLED_MODELS.find((model) => model.name.toLowerCase() === ref.toLowerCase());
    if (bundled !== undefined) return (await readModelFile(bundled.path, { signal })).profile;
    return (await openCatalog({ home, bundled: BUNDLED_MODELS, signal })).describe(ref, signal);
  };
  return plan({
    model: await read(options.ref),
    ...(options.draft === undefined ? {} : { draft: await read(options.draft) }),
    ...(speculation === undefined ? {} : { speculation }),
    nodes: inventory.nodes,
    links: inventory.links,
    objective: options.objective ?? "latency",
    ...(ctx === undefined ? {} : { context: ctx }),
    slots: options.slots ?? 1,
    kv: options.kv ?? "f16",
    ...(flashAttention === undefined ? {} : { flashAttention }),
    ...(head === undefined ? {} : { head }),
    pins: options.pin ?? [],
    without: options.without ?? [],
    ...(top === undefined ? {} : { top }),
    ...(promptTokens === undefined ? {} : { promptTokens }),
  });
}
