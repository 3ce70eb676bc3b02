// llama.cpp: its build, its processes. Command lines, log formats and guards stay inside.
export type { Engine, EngineDevice, EngineProgress } from "./build/engine.ts";
export { ENGINE_RPC_PROTOCOL, sameRpcProtocol } from "./build/rpc-protocol.ts";
export type { EngineSearchOptions, EnsureEngineOptions } from "./build/ensure-engine.ts";
export { ensureEngine, findEngine } from "./build/ensure-engine.ts";
export type { ProcessEnd, ProcessState } from "./process/process-state.ts";
export type { SupervisedProcess } from "./process/supervise.ts";
export { describeEnd } from "./process/supervise.ts";
export { defaultThreads } from "./worker/default-threads.ts";
export type { Worker, WorkerOptions } from "./worker/start-worker.ts";
export { startWorker } from "./worker/start-worker.ts";
export type { Head, HeadOptions } from "./head/start-head.ts";
export { startHead } from "./head/start-head.ts";
export type { HeadLayers, HeadSpec } from "./head/head-spec.ts";
export { headArguments } from "./head/head-arguments.ts";
export type { BufferKind, BufferSize } from "./head/buffer-sizes.ts";
export { parseBufferSizes } from "./head/buffer-sizes.ts";
