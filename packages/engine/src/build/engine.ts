/** A device the engine can compute on besides the processor. */
export interface EngineDevice {
  /** As the engine names it in `--device`, e.g. `CUDA0`. */
  readonly id: string;
  /** For people, e.g. `NVIDIA GeForce RTX 4090`. */
  readonly name: string;
  readonly memoryBytes: number;
}

/** A complete engine: both programs with every library they need, and what they said of themselves. */
export interface Engine {
  readonly dir: string;
  readonly llamaServer: string;
  readonly rpcServer: string;
  /** llama.cpp's release or version, e.g. `v0.5.0`. */
  readonly llamaCpp: string;
  /** `major.minor.patch` as the rpc-server itself answers. */
  readonly rpcProtocol: string;
  readonly fingerprint: string;
  readonly devices: readonly EngineDevice[];
  /** Whether its rpc-server reads weights from its own machine's files, and its head leaves out hashing them: our patch is in it. */
  readonly localWeights: boolean;
  /** What a person should know of this engine, e.g. why a GPU is not used. */
  readonly notes: readonly string[];
}

/** How a long step is going: `fraction` from 0 to 1, null where it cannot be told. */
export interface EngineProgress {
  readonly step: string;
  readonly fraction: number | null;
}

export type OnEngineProgress = (progress: EngineProgress) => void;
