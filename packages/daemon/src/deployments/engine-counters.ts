import type { HeadRun } from "./head-run.ts";
import type { SpeculationCounters } from "./speculation-policy.ts";

const ASK_MS_MAX = 1_500;

/** What a llama-server has counted since it started. */
export interface EngineCounters extends SpeculationCounters {
  /** Prompt tokens worked off (not those found in the cache), and the seconds they took. */
  readonly promptTokens: number;
  readonly promptSeconds: number;
  /** Requests it works on now. */
  readonly processing: number;
}

/** The counters of a llama-server's metrics, or null where one is missing. */
export function parseCounters(metrics: string): EngineCounters | null {
  const value = (name: string): number => Number(new RegExp(`^llamacpp:${name} ([0-9.e+-]+)$`, "m").exec(metrics)?.[1] ?? NaN);
  const counters = {
    tokens: value("tokens_predicted_total"),
    seconds: value("tokens_predicted_seconds_total"),
    drafted: value("spec_decode_num_draft_tokens_total"),
    accepted: value("spec_decode_num_accepted_tokens_total"),
    promptTokens: value("prompt_tokens_total"),
    promptSeconds: value("prompt_seconds_total"),
    processing: value("requests_processing"),
  };
  return Object.values(counters).every(Number.isFinite) ? counters : null;
}

/** Asks an engine that is up; null where it is busy or gone, which the control loop knows better. */
export async function askCounters(engine: Pick<HeadRun, "port" | "apiKey">): Promise<EngineCounters | null> {
  try {
    const response = await fetch(`http://127.0.0.1:${engine.port}/metrics`, {
      headers: { authorization: `Bearer ${engine.apiKey}` },
      signal: AbortSignal.timeout(ASK_MS_MAX),
    });
    return parseCounters(await response.text());
  } catch {
    return null;
  }
}
