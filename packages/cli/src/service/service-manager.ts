/** What is to run as a service. */
export interface ServiceSpec {
  /** `clusterd`, and for another home than the usual one a few letters of its own. */
  readonly name: string;
  /** Program and arguments; paths are absolute. */
  readonly command: readonly string[];
  readonly workingFolder: string;
  readonly environment: Readonly<Record<string, string>>;
  /** For systems that keep no log of what a service prints. */
  readonly logFile: string;
}

/** A command of the system's own, and whether its failure matters. */
export interface Step {
  readonly command: readonly string[];
  /** It may fail: what a person should know then, or nothing. Absent: it may not. */
  readonly mayFail?: string | null;
}

export interface ServiceStatus {
  readonly installed: boolean;
  readonly running: boolean;
  readonly pid: number | null;
}

/** How one system keeps a service: a file, the commands that make it count, and what they answer. Nothing here is done yet. */
export interface ServiceManager {
  /** For people: `systemd user unit`. */
  readonly kind: string;
  readonly file: string;
  readonly content: string;
  readonly encoding: "utf8" | "utf16le";
  /** Once the file is there. */
  readonly install: readonly Step[];
  /** Before the file is removed, and after. */
  readonly uninstall: { readonly before: readonly Step[]; readonly after: readonly Step[] };
  readonly query: Step;
  /** What the query printed, and whether it succeeded. */
  readStatus(output: string, succeeded: boolean): ServiceStatus;
  /** What a person should know once it is installed. */
  readonly notes: readonly string[];
}
