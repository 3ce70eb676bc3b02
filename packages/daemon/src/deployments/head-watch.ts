/** How often a head's engine is asked for a sign of life. */
const ASK_EVERY_MS = 2_000;
/** It answers in a thread that does nothing else, whatever it computes: after so long without an answer it hangs. */
export const SILENCE_MS_MAX = 20_000;
/** We ourselves were held up for longer than this: what it did meanwhile is not known. */
const OWN_DELAY_MS = 500;

export interface HeadWatchOptions {
  /** Whether the engine answers. */
  ask(signal: AbortSignal): Promise<boolean>;
  onStuck(reason: string): void;
  /** ms of a monotonic clock. */
  now?(): number;
}

/** Tells an engine that hangs from one that has much to do. */
export interface HeadWatch extends Disposable {
  /** Looks at the clock and asks; called by its own timer. */
  look(): void;
}

export function watchHead({ ask, onStuck, now = () => performance.now() }: HeadWatchOptions): HeadWatch {
  let answeredMs = now();
  let lookedMs = answeredMs;
  let asking = false;
  let over = false;

  function end(): void {
    over = true;
    clearInterval(timer);
  }

  async function askOnce(): Promise<void> {
    asking = true;
    const answers = await ask(AbortSignal.timeout(ASK_EVERY_MS)).catch(() => false);
    asking = false;
    if (answers) answeredMs = now();
  }

  function look(): void {
    const nowMs = now();
    const delayMs = nowMs - lookedMs - ASK_EVERY_MS;
    lookedMs = nowMs;
    if (over) return;
    // Doubt ourselves first.
    if (delayMs > OWN_DELAY_MS) answeredMs += delayMs;
    const silentMs = nowMs - answeredMs;
    if (silentMs >= SILENCE_MS_MAX) {
      end();
      onStuck(`it has answered nothing for ${(silentMs / 1000).toFixed(1)} s`);
    } else if (!asking) void askOnce();
  }

  const timer = setInterval(look, ASK_EVERY_MS);
  timer.unref();
  return { look, [Symbol.dispose]: end };
}

/** Whether the llama-server on that port of this machine answers for its health. */
export async function isHealthy(port: number, signal: AbortSignal): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/health`, { signal });
  await response.arrayBuffer();
  return response.ok;
}
