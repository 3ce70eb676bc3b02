import { spawn, type ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { ClusterdError } from "@clusterd/wire";
import { childEnvironment } from "./child-environment.ts";
import { endByRequest } from "./end-by-request.ts";
import { startDeadline, type StartDeadline } from "./end-on-start-deadline.ts";
import { platformGuard, type Guard } from "./guard.ts";
import { createLineSplitter } from "./line-splitter.ts";
import { createLogTail } from "./log-tail.ts";
import { DRAIN_MS_MAX, STOP_GRACE_MS } from "./process-limits.ts";
import { applyProcessEvent, type ProcessEnd, type ProcessEvent, type ProcessState } from "./process-state.ts";
import { signalGroup } from "./signal-group.ts";

export interface ProcessSpec {
  /** For messages: what this process is. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Set besides the few variables that are passed on. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether this line of its output is its word that it is ready. */
  readonly isReady: (line: string) => boolean;
  readonly start: StartDeadline;
  /** Every complete line of its output, readable and cut; called in the order the lines came on each stream. */
  readonly onLine?: (line: string) => void;
  /** 0: SIGKILL at once. */
  readonly stopGraceMs?: number;
  /** What it takes on its standard input as a request to end. */
  readonly exitCommand?: string;
  readonly guard?: Guard;
}

/** A child process under guard; disposing of it ends it and all it started. */
export interface SupervisedProcess extends AsyncDisposable {
  readonly pid: number;
  readonly state: ProcessState;
  /** Calls the listener at every change of state until the function it returns is called. */
  onChange(listener: (state: ProcessState) => void): () => void;
  /** Waits for its word; throws `engine_crashed`, `engine_missing`, `timeout`, or `interrupted`, and then it has ended. */
  whenReady(signal: AbortSignal): Promise<void>;
  /** Settles once, when the process has ended and its output has been read, whoever wanted it. */
  readonly ended: Promise<ProcessEnd>;
  /** Asks it to end, kills it after the grace. Safe to call again. */
  stop(): Promise<ProcessEnd>;
  readonly logTail: readonly string[];
}

/** Starts a child in a process group of its own. Throws `engine_missing` where not even its guard can be run. */
export function superviseProcess(spec: ProcessSpec): SupervisedProcess {
  const guarded = (spec.guard ?? platformGuard)(spec.command, spec.args);
  const child = spawn(guarded.command, guarded.args, {
    stdio: guarded.stdio,
    env: childEnvironment(spec.env),
    detached: process.platform !== "win32",
    windowsHide: true,
  });
  const { promise: ended, resolve: settle } = Promise.withResolvers<ProcessEnd>();
  const { promise: ready, resolve: becomeReady } = Promise.withResolvers<void>();
  const listeners = new Set<(state: ProcessState) => void>();
  const tail = createLogTail();
  let state: ProcessState = { kind: "starting" };
  let expired: string | null = null;
  child.on("error", () => undefined);
  const { pid } = child;
  if (pid === undefined) throw new ClusterdError("engine_missing", `${spec.name} could not be started (${guarded.command}).`);
  const deadline = startDeadline(spec.start, (why) => {
    expired = why;
    void stop();
  });

  function apply(event: ProcessEvent): void {
    const before = state;
    state = applyProcessEvent(state, event);
    if (state === before) return;
    if (state.kind !== "starting") deadline[Symbol.dispose]();
    for (const listener of listeners) listener(state);
  }

  function take(line: string): void {
    tail.push(line);
    deadline.touch();
    spec.onLine?.(line);
    if (state.kind === "starting" && spec.isReady(line)) {
      apply({ kind: "ready" });
      becomeReady();
    }
  }

  const outputs = [child.stdout, child.stderr].filter((stream) => stream !== null).map((stream) => readLines(stream, take));
  const lifeline = child.stdio[guarded.lifeline] as Writable;
  for (const stream of [child.stdin, lifeline]) stream?.on("error", () => undefined);
  child.once("exit", (code, signal) => void onExit(code, signal));

  async function onExit(code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    deadline[Symbol.dispose]();
    lifeline.destroy();
    // What it left in its group would keep the pipes open, and outlive it.
    signalGroup(child, "SIGKILL");
    await drained(child);
    for (const output of outputs) output.end();
    apply({ kind: "exit", code, signal });
    settle({ code, signal, wanted: state.kind === "ended" && state.wanted });
  }

  let stopping: Promise<void> | null = null;
  async function stop(): Promise<ProcessEnd> {
    // Once it has exited its pid may be another's: nothing is sent any more.
    if (child.exitCode === null && child.signalCode === null) {
      apply({ kind: "stop" });
      stopping ??= endByRequest(
        child,
        { exitCommand: spec.exitCommand ?? null, graceMs: spec.stopGraceMs ?? STOP_GRACE_MS },
        ended,
      );
    }
    await stopping;
    return ended;
  }

  return {
    pid,
    get state() {
      return state;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async whenReady(signal) {
      const aborted = Promise.withResolvers<"aborted">();
      const onAbort = (): void => aborted.resolve("aborted");
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      try {
        const outcome = await Promise.race([ready.then(() => "ready" as const), aborted.promise, ended]);
        if (outcome === "ready") return;
        const end = await stop();
        if (outcome === "aborted")
          throw new ClusterdError("interrupted", `The start of ${spec.name} was interrupted.`, { cause: signal.reason });
        throw notReady(spec, end, expired, tail.lines().at(-1));
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
    ended,
    stop,
    get logTail() {
      return tail.lines();
    },
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

function readLines(stream: Readable, onLine: (line: string) => void): { end(): void } {
  const splitter = createLineSplitter(onLine);
  stream.on("data", (chunk: Buffer) => splitter.push(chunk));
  return splitter;
}

/** Until the pipes of an ended child are read to their end, or somebody who holds them has been waited for long enough. */
async function drained(child: ChildProcess): Promise<void> {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  child.once("close", () => resolve());
  const timer = setTimeout(() => {
    child.stdout?.destroy();
    child.stderr?.destroy();
    resolve();
  }, DRAIN_MS_MAX);
  await closed;
  clearTimeout(timer);
}

function notReady(spec: ProcessSpec, end: ProcessEnd, expired: string | null, lastLine: string | undefined): ClusterdError {
  const said = lastLine === undefined ? "" : ` Its last words: ${lastLine}`;
  if (expired !== null) return new ClusterdError("timeout", `${spec.name} ${expired}.${said}`);
  if (end.code === 127 || end.code === 126)
    return new ClusterdError("engine_missing", `${spec.name} could not be run (${spec.command}).${said}`);
  return new ClusterdError("engine_crashed", `${spec.name} ${describeEnd(end)} before it was ready.${said}`);
}

/** `ended with status 1`, `was ended by SIGKILL`. */
export function describeEnd(end: Pick<ProcessEnd, "code" | "signal">): string {
  return end.signal === null ? `ended with status ${end.code ?? "unknown"}` : `was ended by ${end.signal}`;
}
