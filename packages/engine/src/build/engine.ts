/** One accelerator as the engine itself lists it; `id` is its name on the command line. */
export interface EngineDevice {
  readonly id: string;
  readonly name: string;
  readonly memoryBytes: number;
}

/** A llama.cpp that is ready to run. The shape of `clusterd engine --json`. */
export interface Engine {
  readonly dir: string;
  readonly llamaServer: string;
  readonly rpcServer: string;
  readonly llamaCpp: string;
  readonly rpcProtocol: string;
  readonly fingerprint: string;
  readonly devices: readonly EngineDevice[];
}

/** The RPC protocol of the llama.cpp release that clusterd is built against. */
export const ENGINE_RPC_PROTOCOL = "7.0.0";

/** Whether two engines can talk: llama.cpp's client asks for the same major and a minor that is not newer than the server's. */
export function sameRpcProtocol(a: string, b: string): boolean {
  return a.split(".").slice(0, 2).join(".") === b.split(".").slice(0, 2).join(".");
}

/** One step of making the engine; `fraction` is null where the length is not known. */
export interface EngineProgress {
  readonly step: string;
  readonly fraction: number | null;
}
