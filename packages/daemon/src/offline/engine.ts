export type { Engine } from "@clusterd/engine";
export { ensureEngine } from "@clusterd/engine";
