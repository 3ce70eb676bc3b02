import { ClusterdError } from "@clusterd/wire";
import type { Client } from "../api/client.ts";
import { isErrorCode } from "../exit-codes.ts";

interface Chunk {
  readonly choices?: readonly { readonly text?: string }[];
  readonly usage?: { readonly prompt_tokens?: number; readonly completion_tokens?: number } | null;
  readonly timings?: {
    readonly cache_n?: number;
    readonly prompt_n?: number;
    readonly prompt_ms?: number;
    readonly draft_n?: number;
    readonly draft_n_accepted?: number;
  };
  readonly error?: { readonly message?: string; readonly code?: string | null };
}

/** One answer, as its client saw it. Milliseconds since the request was sent. */
export interface Measured {
  readonly promptTokens: number;
  /** Of them, those that the engine worked off, and how long it took over them; null: it does not tell. */
  readonly worked: { readonly tokens: number; readonly ms: number } | null;
  readonly tokens: number;
  readonly sentMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** Tokens guessed ahead, and those that were right. */
  readonly guessed: number;
  readonly accepted: number;
}

/** Asks for one streamed answer. Null where not a single token came. */
export async function measureRequest(
  client: Client,
  body: { readonly model: string; readonly prompt: string; readonly tokens: number },
  signal: AbortSignal,
): Promise<Measured | null> {
  const { model, prompt, tokens } = body;
  const sentMs = performance.now();
  let firstMs: number | null = null;
  let lastMs = sentMs;
  let told: Chunk = {};
  const request = { model, prompt, max_tokens: tokens, temperature: 0.8, stream: true, stream_options: { include_usage: true } };
  for await (const { data } of client.events("/v1/completions", { body: request, signal })) {
    if (data === "[DONE]") break;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error !== undefined) {
      const { code, message } = chunk.error;
      throw new ClusterdError(isErrorCode(code) ? code : "failed", message ?? "The answer broke off.");
    }
    if (chunk.usage != null) told = chunk;
    if ((chunk.choices?.[0]?.text ?? "") === "") continue;
    lastMs = performance.now();
    firstMs ??= lastMs;
  }
  if (firstMs === null) return null;
  const { usage, timings } = told;
  return {
    promptTokens: usage?.prompt_tokens ?? 0,
    worked:
      timings?.prompt_n === undefined || timings.prompt_ms === undefined
        ? null
        : { tokens: timings.prompt_n, ms: timings.prompt_ms },
    tokens: usage?.completion_tokens ?? 0,
    sentMs,
    firstMs,
    lastMs,
    guessed: timings?.draft_n ?? 0,
    accepted: timings?.draft_n_accepted ?? 0,
  };
}
