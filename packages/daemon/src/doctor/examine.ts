import { asClusterdError } from "@clusterd/wire";
import type { Check, Found } from "./check.ts";
import { CHECKS } from "./checks.ts";
import type { ClusterFacts, Facts } from "./facts.ts";
import { gatherEngine } from "./gather/engine.ts";
import { gatherDaemon, gatherHome, gatherModels } from "./gather/home.ts";
import { gatherInterfaces, gatherPorts } from "./gather/network.ts";
import {
  gatherClock,
  gatherDisk,
  gatherFirewall,
  gatherLimits,
  gatherMemory,
  gatherProcessor,
  gatherRuntime,
} from "./gather/system.ts";

/** For each part of the facts: what hangs (a network disk, a program of the system) costs the checks that need it, no more. */
const PART_MS_MAX = 8_000;
/** Models are read one after the other. */
const MODELS_MS_MAX = 20_000;

export interface ExamineOptions {
  /** Absolute. */
  readonly home: string;
  readonly signal: AbortSignal;
  /** What the daemon here knows; null: there is none to ask. */
  cluster: ((signal: AbortSignal) => Promise<ClusterFacts>) | null;
  /** Told whenever a part is gathered. */
  onProgress(progress: { readonly done: number; readonly of: number; readonly waitingFor: string }): void;
}

/** `skipped`: of a cluster, without a daemon. `unknown`: what it needs could not be found out. */
export type CheckResult = "fine" | "hint" | "wrong" | "unknown" | "skipped";

export interface CheckReport {
  readonly name: string;
  readonly title: string;
  readonly result: CheckResult;
  /** Why it is unknown. */
  readonly why: string | null;
}

export interface DoctorReport {
  /** Nothing is wrong; there may be hints. */
  readonly healthy: boolean;
  readonly findings: readonly (Found & { readonly check: string })[];
  readonly checks: readonly CheckReport[];
}

/** All checks over whatever is known; `troubles`: why a part is not. Pure. */
export function judge(
  facts: Partial<Facts>,
  troubles: ReadonlyMap<keyof Facts, string>,
  checks: readonly Check[] = CHECKS,
): DoctorReport {
  const findings: (Found & { check: string })[] = [];
  const reports = checks.map(({ name, title, needs, find }): CheckReport => {
    const trouble = needs.find((need) => facts[need] === undefined);
    if (trouble !== undefined) {
      const why = troubles.get(trouble) ?? null;
      return { name, title, result: why === null ? "skipped" : "unknown", why };
    }
    const found = find(facts);
    findings.push(...found.map((one) => ({ check: name, ...one })));
    const result = found.some(({ level }) => level === "wrong") ? "wrong" : found.length > 0 ? "hint" : "fine";
    return { name, title, result, why: null };
  });
  const sorted = findings.toSorted((one, other) => Number(one.level === "hint") - Number(other.level === "hint"));
  return { healthy: findings.every(({ level }) => level === "hint"), findings: sorted, checks: reports };
}

/** Looks at this machine and, where a daemon runs, at its cluster. Changes nothing. */
export async function examine(options: ExamineOptions): Promise<DoctorReport> {
  const { home, signal } = options;
  const facts: { -readonly [Key in keyof Facts]?: Facts[Key] } = {};
  const troubles = new Map<keyof Facts, string>();
  const waiting = new Set<string>();
  let done = 0;
  let of = 0;

  async function part<Key extends keyof Facts>(
    name: Key,
    gather: (within: AbortSignal) => Promise<Facts[Key]>,
    msMax: number = PART_MS_MAX,
  ): Promise<void> {
    of += 1;
    waiting.add(name);
    const limit = AbortSignal.timeout(msMax);
    const late = new Promise<never>((_, reject) => {
      limit.addEventListener("abort", () => reject(new Error(`nothing was found out within ${msMax / 1000} s`)), { once: true });
      signal.addEventListener("abort", () => reject(new Error("interrupted")), { once: true });
    });
    try {
      facts[name] = await Promise.race([gather(AbortSignal.any([limit, signal])), late]);
    } catch (error) {
      troubles.set(name, asClusterdError(error).message);
    }
    waiting.delete(name);
    done += 1;
    const [next = ""] = waiting;
    options.onProgress({ done, of, waitingFor: next });
  }

  const engine = gatherEngine(AbortSignal.any([signal, AbortSignal.timeout(PART_MS_MAX)]));
  engine.catch(() => undefined);
  const cluster = options.cluster === null ? Promise.resolve() : part("cluster", options.cluster);
  const othersSeen = async (): Promise<boolean> => {
    await cluster;
    const state = facts.cluster?.state;
    return state?.nodes.some(({ id, state: is }) => id !== state.self && is === "alive") === true;
  };
  await Promise.all([
    cluster,
    part("runtime", gatherRuntime),
    part("processor", gatherProcessor),
    part("engine", async () => {
      const { accelerators: _, ...told } = await engine;
      return told;
    }),
    part("memory", async () => gatherMemory((await engine).accelerators)),
    part("disk", () => gatherDisk(home)),
    part("ports", gatherPorts),
    part("interfaces", gatherInterfaces),
    part("firewall", async (within) => gatherFirewall(await othersSeen(), within), 2 * PART_MS_MAX),
    part("clock", gatherClock),
    part("limits", gatherLimits),
    part("home", () => gatherHome(home)),
    part("daemon", (within) => gatherDaemon(home, within)),
    part("models", (within) => gatherModels(home, within), MODELS_MS_MAX),
  ]);
  signal.throwIfAborted();
  return judge(facts, troubles);
}
