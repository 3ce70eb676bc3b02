import type { ClusterState, NodeId } from "@clusterd/wire";

/** The engine on this machine, and what a build of one would need. */
export interface EngineFacts {
  /** Null: there is none yet. */
  readonly built: {
    readonly llamaCpp: string;
    readonly devices: readonly string[];
    readonly localWeights: boolean;
    readonly notes: readonly string[];
  } | null;
  /** Programs that a build lacks, and how to get them. */
  readonly missing: readonly string[];
  readonly install: string | null;
  /** Why none could be looked for, e.g. what CLUSTERD_ENGINE_DIR names is none. */
  readonly error: string | null;
  /** Graphics cards that are here and cannot be used, in sentences. */
  readonly gpuNotes: readonly string[];
}

export interface RuntimeFacts {
  readonly platform: string;
  readonly arch: string;
  /** `24.1.0` */
  readonly node: string;
  /** Node for another processor, run by the system's translator. */
  readonly translated: boolean;
}

export interface ProcessorFacts {
  readonly model: string;
  readonly cores: number;
  /** As the system names them, in lower case; null: it does not tell. */
  readonly flags: readonly string[] | null;
}

/** Bytes. */
export interface MemoryFacts {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly budgetBytes: number;
  /** What `iogpu.wired_limit_mb` would free, and the command for it; null: nothing. */
  readonly raise: { readonly memoryBytes: number; readonly command: string } | null;
}

export interface DiskFacts {
  /** The folder that was asked about. */
  readonly path: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
}

export interface PortFacts {
  readonly port: number;
  readonly use: string;
  /** How a daemon is told to use another. */
  readonly flag: string;
  /** `forbidden`: the system lets nobody like us have it. */
  readonly state: "free" | "taken" | "forbidden";
}

export interface InterfaceFacts {
  readonly name: string;
  /** IPv4. */
  readonly address: string;
  /** Null: not known. */
  readonly wireless: boolean | null;
  readonly megabitsPerSecond: number | null;
  /** What came of a multicast packet sent out of it: null, it came back; else why not. */
  readonly multicastTrouble: string | null;
}

export interface FirewallFacts {
  /** Null: none that is known of is on. */
  readonly active: "ufw" | "firewalld" | "macOS" | "Windows" | null;
  /** Whether another node is a member and alive: it lets them through. */
  readonly othersSeen: boolean;
}

export interface ClockFacts {
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Null: the system does not tell. */
  readonly synchronised: boolean | null;
}

/** Null: no limit, or not known. */
export interface LimitFacts {
  readonly openFiles: number | null;
  readonly processes: number | null;
  readonly addressSpaceBytes: number | null;
}

export interface HomeFacts {
  readonly path: string;
  readonly exists: boolean;
  readonly writable: boolean;
  /** Permission bits, of POSIX systems; null elsewhere. */
  readonly mode: number | null;
  readonly owned: boolean;
  /** Secrets that others than the owner may read. */
  readonly exposed: readonly string[];
  /** A folder whose locks do not hold between machines, e.g. `nfs`; null: none such. */
  readonly networkFileSystem: string | null;
}

export interface DaemonFacts {
  /** The record of the daemon last started; null: none. */
  readonly record: { readonly pid: number; readonly api: string; readonly startedAt: string } | null;
  readonly alive: boolean;
  /** Whether its API answered; null: not asked. */
  readonly answers: boolean | null;
  /** A lock on the building of the engine, and whether its holder lives. */
  readonly buildLock: { readonly path: string; readonly pid: number; readonly alive: boolean } | null;
}

export interface ModelFacts {
  /** Files that were refused. */
  readonly broken: readonly { readonly path: string; readonly message: string }[];
  /** Files that were found damaged and put aside. */
  readonly aside: readonly string[];
}

/** What this machine says of itself. Each part is gathered by itself, and may fail by itself. */
export interface MachineFacts {
  readonly runtime: RuntimeFacts;
  readonly processor: ProcessorFacts;
  readonly engine: EngineFacts;
  readonly memory: MemoryFacts;
  readonly disk: DiskFacts;
  readonly ports: readonly PortFacts[];
  readonly interfaces: readonly InterfaceFacts[];
  readonly firewall: FirewallFacts;
  readonly clock: ClockFacts;
  readonly limits: LimitFacts;
  readonly home: HomeFacts;
  readonly daemon: DaemonFacts;
  readonly models: ModelFacts;
}

/** What the daemon here knows of the cluster. */
export interface ClusterFacts {
  readonly state: ClusterState;
  readonly nowMs: number;
  /** Each member that counts as there, asked for a sign of life: null, it gave one; else why not. */
  readonly reach: readonly { readonly node: NodeId; readonly trouble: string | null }[];
}

export interface Facts extends MachineFacts {
  readonly cluster: ClusterFacts;
}
