import type { TestNode } from "../../test/cluster/harness/node.ts";
import { enginesOf } from "../../test/cluster/harness/processes.ts";

/** Shorter than every limit there is: what is stopped so long must not be given up. */
const HICCUP_MS = 700;

/** Something that goes wrong on one node while an answer streams. */
export interface Fault {
  readonly name: string;
  readonly on: "worker" | "head";
  readonly needsLink: boolean;
  /** What the stream may be told; empty: it must go on to its end. */
  readonly codes: readonly string[];
  /** Returns how to undo it, once the stream has ended. */
  inject(node: TestNode): () => void;
}

const nothing = (): void => undefined;

function signalEngine(node: TestNode, signal: NodeJS.Signals): number {
  const [engine] = enginesOf(node.pid);
  if (engine === undefined) throw new Error(`${node.host.name} runs no engine`);
  process.kill(engine.pid, signal);
  return engine.pid;
}

/** Stops a process and lets it go on a moment later. */
function hiccup(pid: number): () => void {
  setTimeout(() => process.kill(pid, "SIGCONT"), HICCUP_MS);
  return nothing;
}

export const FAULTS: readonly Fault[] = [
  {
    name: "rpc-server killed",
    on: "worker",
    needsLink: false,
    codes: ["worker_lost"],
    inject(node) {
      signalEngine(node, "SIGKILL");
      return nothing;
    },
  },
  {
    name: "rpc-server stopped",
    on: "worker",
    needsLink: false,
    codes: ["engine_stalled"],
    inject(node) {
      signalEngine(node, "SIGSTOP");
      return nothing;
    },
  },
  {
    name: "rpc-server stopped for a moment",
    on: "worker",
    needsLink: false,
    codes: [],
    inject: (node) => hiccup(signalEngine(node, "SIGSTOP")),
  },
  {
    name: "llama-server killed",
    on: "head",
    needsLink: false,
    codes: ["engine_crashed"],
    inject(node) {
      signalEngine(node, "SIGKILL");
      return nothing;
    },
  },
  {
    name: "llama-server stopped",
    on: "head",
    needsLink: false,
    codes: ["engine_stalled"],
    inject(node) {
      signalEngine(node, "SIGSTOP");
      return nothing;
    },
  },
  {
    name: "worker's daemon stopped",
    on: "worker",
    needsLink: false,
    // Its engine works on, but nothing comes: which limit is reached first depends on the model's speed.
    codes: ["engine_stalled", "worker_lost"],
    inject(node) {
      process.kill(node.pid, "SIGSTOP");
      return () => process.kill(node.pid, "SIGCONT");
    },
  },
  {
    name: "worker's daemon stopped for a moment",
    on: "worker",
    needsLink: false,
    codes: [],
    inject(node) {
      process.kill(node.pid, "SIGSTOP");
      return hiccup(node.pid);
    },
  },
  {
    name: "link half open",
    on: "worker",
    needsLink: true,
    codes: ["worker_lost"],
    inject(node) {
      node.host.link?.deafen(true);
      return () => node.host.link?.deafen(false);
    },
  },
  {
    name: "link down",
    on: "worker",
    needsLink: true,
    codes: ["worker_lost"],
    inject(node) {
      node.host.link?.set("down");
      return () => node.host.link?.set("up");
    },
  },
];
