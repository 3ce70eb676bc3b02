/** A way to run a head over its rpc-servers that a report of hangs names, or that could be a cause by the source. */
export interface EndpointCase {
  readonly name: string;
  /** For llama-server; `{devices}`: the devices' names in the opposite order. */
  readonly flags?: readonly string[];
  /** For llama-server's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly slots?: number;
  /**
   * Nothing is kept on the head, as with plain `-ngl 999`: only then does llama.cpp compute several batches at a time, with events between
   * its devices ("pipeline parallelism enabled"). As deployed, the output is kept on the head by an override, which switches that off.
   */
  readonly isPlain?: boolean;
  /** Threads of each rpc-server; absent: one. */
  readonly workerThreads?: number;
  /** The head sends the weights, instead of each worker reading its own. */
  readonly sendsWeights?: boolean;
}

export const ENDPOINT_CASES: readonly EndpointCase[] = [
  { name: "as deployed" },
  { name: "as in the report: the output away as well", isPlain: true, sendsWeights: true },
  { name: "the same with four streams and batches of 32", isPlain: true, sendsWeights: true, slots: 4, flags: ["-ub", "32"] },
  { name: "four streams at once", slots: 4 },
  { name: "batches of 32 (copies and events overlap)", flags: ["-ub", "32"], slots: 2 },
  { name: "no graph is used again", env: { LLAMA_GRAPH_REUSE_DISABLE: "1" }, slots: 2 },
  { name: "flash attention off", flags: ["-fa", "off"], slots: 2 },
  { name: "devices in the opposite order", flags: ["--device", "{devices}"] },
  { name: "weights sent by the head", sendsWeights: true },
  { name: "weights sent, read without the page cache", flags: ["--load-mode", "dio"], sendsWeights: true },
  { name: "more threads than cores", workerThreads: 4 },
];

/** Its flags, with so many devices. */
export const flagsOf = ({ flags = [] }: EndpointCase, devices: number): readonly string[] =>
  flags.map((flag) =>
    flag.replace("{devices}", Array.from({ length: devices }, (_, index) => `RPC${devices - 1 - index}`).join(",")),
  );
