import { execFile } from "node:child_process";
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { resolve } from "node:path";
import type { Host } from "./hosts.ts";
import type { TestNode } from "./node.ts";
import { enginesOf, type Process } from "./processes.ts";

const PROCESS = resolve(import.meta.dirname, "crowd-process.ts");
const OUTPUT_BYTES_MAX: number = 16 * 1024 * 1024;

/** How a request ended: exactly one of these, and never lost. */
export type Ending = "answered" | "refused" | "refused in its stream" | "gone" | "lost";

export interface CrowdOptions {
  readonly api: string;
  readonly model: string;
  /** All at once, each on a connection of its own; every other one streams. */
  readonly requests: number;
  readonly tokens: number;
  /** Of so many clients one goes away before its answer has come. */
  readonly oneInLeaves: number;
}

export interface CrowdResult {
  readonly endings: Record<Ending, number>;
  /** What the lost ones were told. */
  readonly lost: readonly string[];
  /** What the refused ones were told about when to come back. */
  readonly retryAfterSeconds: readonly (number | null)[];
  /** Milliseconds, shortest first. */
  readonly answeredMs: readonly number[];
  readonly refusedMs: readonly number[];
}

/** Sends a crowd of clients from a host. */
export function sendCrowd(host: Host, options: CrowdOptions): Promise<CrowdResult> {
  const [command, words] = host.wrap(process.execPath, [PROCESS, JSON.stringify(options)]);
  return new Promise((done, fail) => {
    execFile(command, [...words], { maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout, stderr) => {
      if (error === null) done(JSON.parse(stdout) as CrowdResult);
      else fail(new Error(`the crowd fell over: ${stderr}`, { cause: error }));
    });
  });
}

/** The llama-server of a head. */
export function headEngine({ host, pid }: TestNode): Process {
  const engine = enginesOf(pid).find(({ args }) => args.includes("llama-server"));
  if (engine === undefined) throw new Error(`${host.name} runs no llama-server`);
  return engine;
}

/** Slots of the head's engine that are at work, by its own word. */
export function busySlots(node: TestNode): Promise<number> {
  const { host } = node;
  const engine = headEngine(node);
  const port = listeningPort(engine.pid);
  const key = /(?:^|\0)LLAMA_API_KEY=([^\0]+)/.exec(readFileSync(`/proc/${engine.pid}/environ`, "utf8"))?.[1] ?? "";
  const [command, words] = host.wrap("curl", ["-s", "-H", `authorization: Bearer ${key}`, `http://127.0.0.1:${port}/slots`]);
  return new Promise((done, fail) => {
    execFile(command, [...words], { maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout) => {
      if (error !== null) fail(error);
      else done((JSON.parse(stdout) as { is_processing: boolean }[]).filter((slot) => slot.is_processing).length);
    });
  });
}

/** The TCP port that a process listens on, as its host knows it. */
function listeningPort(pid: number): number {
  const own = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []),
  );
  // Columns: place, local address, remote one, state (0A: listens), …, the tenth the socket's number.
  const rows = readFileSync(`/proc/${pid}/net/tcp`, "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const found = rows.find((row) => row[3] === "0A" && own.has(row[9] ?? ""));
  return Number.parseInt(found?.[1]?.split(":")[1] ?? "", 16);
}
