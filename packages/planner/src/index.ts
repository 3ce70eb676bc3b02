// Where layers go and why. Pure: no clock, no randomness, nothing of Node.
export { plan, CONTEXT_DEFAULT } from "./plan.ts";
export { STAGE_OVERHEAD_MS } from "./cost.ts";
export { parseInventory } from "./inventory.ts";
export { neededBytes } from "./needed-bytes.ts";
export { planReplicas } from "./replicas.ts";
export type { ReplicaSet } from "./replicas.ts";
export { repricePlacement } from "./reprice.ts";
export { toFetch } from "./to-fetch.ts";
