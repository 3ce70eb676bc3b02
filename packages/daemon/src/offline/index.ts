export type { OfflinePlan } from "./plan-offline.ts";
export { planOffline } from "./plan-offline.ts";
export { liveInventory, readInventory } from "./read-inventory.ts";
export type { FitsQuestion, FitsReport, FittingModel, MissingModel } from "./what-fits.ts";
export { USEFUL_TOKENS_PER_SECOND, whatFits } from "./what-fits.ts";
