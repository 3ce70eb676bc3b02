import { ClusterdError, type EmbeddingUse } from "@clusterd/wire";

/** Tokens asked for before a deployment is called ready: enough to have passed every stage, and for a first figure of its speed. */
const PROBE_TOKENS = 8;
const PROBE_TEXT = "1 2 3";

/** An engine that is up. */
interface ProbedEngine {
  readonly port: number;
  readonly apiKey: string;
}

interface ProbeAnswer {
  readonly tokens_predicted?: number;
  readonly timings?: { readonly predicted_per_second?: number };
}

/** Lets a new pipeline do once what it is for. Returns tokens per second where it generates them and the engine timed them, else null. */
export function firstAnswer(
  model: { readonly embedding: EmbeddingUse | null },
  engine: ProbedEngine,
  signal: AbortSignal,
): Promise<number | null> {
  return model.embedding === null ? firstToken(engine, signal) : firstEmbedding(engine, signal);
}

/** Lets it decode a few tokens: ready means that a token has come out. */
async function firstToken(engine: ProbedEngine, signal: AbortSignal): Promise<number | null> {
  const answer = (await ask(engine, "/completion", signal, {
    ...{ prompt: PROBE_TEXT, n_predict: PROBE_TOKENS, temperature: 0, ignore_eos: true, cache_prompt: false },
    // The figure is the pipeline's: every token by itself.
    "speculative.n_max": 0,
  })) as ProbeAnswer;
  if ((answer.tokens_predicted ?? 0) < 1)
    throw new ClusterdError("engine_crashed", "The engine loaded the model but no token came out.");
  const speed = answer.timings?.predicted_per_second;
  return typeof speed === "number" && Number.isFinite(speed) && speed > 0 ? speed : null;
}

/** Lets it make an embedding: ready means that a vector of numbers has come out. */
async function firstEmbedding(engine: ProbedEngine, signal: AbortSignal): Promise<null> {
  const answer = (await ask(engine, "/v1/embeddings", signal, { input: PROBE_TEXT })) as {
    readonly data?: readonly { readonly embedding?: readonly unknown[] }[];
  };
  const vector = answer.data?.[0]?.embedding ?? [];
  if (vector.length === 0 || !vector.every(Number.isFinite))
    throw new ClusterdError("engine_crashed", "The engine loaded the model but no embedding came out.");
  return null;
}

async function ask(engine: ProbedEngine, path: string, signal: AbortSignal, body: object): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${engine.port}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${engine.apiKey}` },
    body: JSON.stringify(body),
    signal,
  });
  const text = await response.text();
  if (!response.ok)
    throw new ClusterdError("engine_crashed", `The engine loaded the model but does not answer: ${text.slice(0, 300)}`);
  return JSON.parse(text);
}
