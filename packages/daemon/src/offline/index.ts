import { readFile } from "node:fs/promises";
import { openCatalog, readModelFile } from "@clusterd/catalog";
import { parseInventory, plan } from "@clusterd/planner";
import {
  ClusterdError,
  type KvType,
  type ModelProfile,
  type Objective,
  type Pin,
  type PlanResult,
  type SpeculationWish,
} from "@clusterd/wire";
import { BUNDLED_MODELS } from "./bundled-models.ts";
import { defaultHome, homePaths } from "../home/paths.ts";

export { explainPlan } from "@clusterd/planner";

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
  readonly draft?: string;
  readonly speculation?: SpeculationWish;
}

/** A plan for an inventory file: no daemon, no network. */
export async function planOffline(options: OfflinePlan): Promise<PlanResult> {
  const inventory = parseInventory(await readInventory(options.inventoryFile));
  const signal = new AbortController().signal;
  const paths = homePaths(defaultHome(options.home));
  const read = async (ref: string): Promise<ModelProfile> => {
    const bundled = BUNDLED_MODELS.find((model) => model.name.toLowerCase() === ref.toLowerCase());
    const file =
      bundled === undefined
        ? await (await openCatalog({ home: paths.home, bundled: BUNDLED_MODELS, signal })).resolve(ref, signal)
        : await readModelFile(bundled.path, { signal });
    return file.profile;
  };
  return plan({
    model: await read(options.ref),
    ...(options.draft === undefined ? {} : { draft: await read(options.draft) }),
    ...(options.speculation === undefined ? {} : { speculation: options.speculation }),
    nodes: inventory.nodes,
    links: inventory.links,
    objective: options.objective ?? "latency",
    ...(options.ctx === undefined ? {} : { context: options.ctx }),
    slots: options.slots ?? 1,
    kv: options.kv ?? "f16",
    ...(options.head === undefined ? {} : { head: options.head }),
    pins: options.pin ?? [],
    without: options.without ?? [],
  });
}

async function readInventory(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new ClusterdError("not_found", `The inventory ${file} cannot be read.`, {
      cause: error,
      next: "Check the path given to --nodes.",
    });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ClusterdError(
      "usage",
      `The inventory ${file} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}
