// llama.cpp: its build, its processes. Command lines, log formats and guards stay inside.
export type { Engine, EngineDevice, EngineProgress } from "./build/engine.ts";
export { ENGINE_RPC_PROTOCOL, sameRpcProtocol } from "./build/engine.ts";
export { ensureEngine } from "./build/ensure-engine.ts";
