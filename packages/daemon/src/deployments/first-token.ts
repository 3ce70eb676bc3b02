import { ClusterdError } from "@clusterd/wire";

/** Tokens asked for before a deployment is called ready: enough to have passed every stage, and for a first figure of its speed. */
const PROBE_TOKENS = 8;

interface ProbeAnswer {
  readonly tokens_predicted?: number;
  readonly timings?: { readonly predicted_per_second?: number };
}

/**
 * Lets a new pipeline decode a few tokens: ready means that a token has come out. Returns tokens per second as the engine timed
 * them, or null where it did not.
 */
export async function firstToken(
  engine: { readonly port: number; readonly apiKey: string },
  signal: AbortSignal,
): Promise<number | null> {
  const response = await fetch(`http://127.0.0.1:${engine.port}/completion`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${engine.apiKey}` },
    body: JSON.stringify({
      ...{ prompt: "1 2 3", n_predict: PROBE_TOKENS, temperature: 0, ignore_eos: true, cache_prompt: false },
      // The figure is the pipeline's: every token by itself.
      "speculative.n_max": 0,
    }),
    signal,
  });
  const text = await response.text();
  if (!response.ok)
    throw new ClusterdError("engine_crashed", `The engine loaded the model but does not answer: ${text.slice(0, 300)}`);
  const answer = JSON.parse(text) as ProbeAnswer;
  if ((answer.tokens_predicted ?? 0) < 1)
    throw new ClusterdError("engine_crashed", "The engine loaded the model but no token came out.");
  const speed = answer.timings?.predicted_per_second;
  return typeof speed === "number" && Number.isFinite(speed) && speed > 0 ? speed : null;
}
