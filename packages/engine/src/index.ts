// llama.cpp: its build, its processes. Command lines, log formats and guards stay inside.
export type { Engine, EngineDevice, EngineProgress } from "./build/engine.ts";
export { ENGINE_RPC_PROTOCOL, sameRpcProtocol } from "./build/engine.ts";
export { ensureEngine } from "./build/ensure-engine.ts";
export type { ProcessEnd, ProcessState, SupervisedProcess } from "./process/supervise.ts";
export { defaultThreads } from "./process/threads.ts";
export type { Worker, WorkerOptions } from "./worker/start-worker.ts";
export { startWorker } from "./worker/start-worker.ts";
export type { Head, HeadOptions } from "./head/start-head.ts";
export { startHead } from "./head/start-head.ts";
export type { HeadLayers, HeadSpec } from "./head/head-arguments.ts";
export { headArguments } from "./head/head-arguments.ts";
export type { BufferSize } from "./head/load-log.ts";
