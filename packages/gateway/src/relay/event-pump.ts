import { ClusterdError } from "@clusterd/wire";
import { createEventSplitter, eventJson, type EngineEvent } from "./engine-events.ts";
import { brokenExchange, type Exchange } from "./engine-exchange.ts";
import { engineEventRefusal } from "./engine-refusal.ts";

export interface PumpOptions {
  readonly signal: AbortSignal;
  /** Silence between two tokens that is taken for a stall. */
  readonly silenceMsMax: number;
}

/**
 * Reads an engine's stream to its end mark or last event, giving on every chunk and comment. Returns when that has come; throws,
 * with the cause, wherever it has not: the engine's own error, a body that breaks or just ends, silence, or something that is no
 * event.
 */
export async function pumpEvents(
  exchange: Exchange,
  response: Response,
  options: PumpOptions,
  onEvent: (event: EngineEvent) => void,
): Promise<void> {
  const { signal, silenceMsMax } = options;
  const body = response.body ?? new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
  const reader = body.getReader();
  const splitter = createEventSplitter();
  // What the engine itself said went wrong, or a stall: a cause that needs no looking for.
  let known: ClusterdError | null = null;
  // Cancelling ends a read that is under way, which a race against the signal would leave behind.
  const giveUp = (): void => void reader.cancel().catch(() => {});
  let timer: NodeJS.Timeout | undefined;
  const tokenCame = (): void => {
    timer ??= setTimeout(() => {
      const where = `${exchange.route.model} on ${exchange.route.head.name}`;
      known = new ClusterdError("engine_stalled", `The engine of ${where} gave no token for ${silenceMsMax / 1000} seconds.`);
      giveUp();
    }, silenceMsMax);
    timer.refresh();
  };
  signal.addEventListener("abort", giveUp);
  try {
    signal.throwIfAborted();
    for (;;) {
      const { done, value } = await reader.read();
      if (known !== null) throw known;
      signal.throwIfAborted();
      if (done)
        throw new Error(splitter.pendingBytes > 0 ? "the stream broke inside an event" : "the stream ended without its end mark");
      for (const event of splitter.push(value)) {
        if (event.kind === "done") return;
        if (event.kind === "error") {
          known = engineEventRefusal(eventJson(event), exchange.request.promptParam);
          throw known;
        }
        if (event.kind === "garbled")
          throw new ClusterdError("engine_crashed", `The engine of ${exchange.route.model} sent something unreadable.`);
        if (event.kind === "empty" || event.kind === "progress") continue;
        if (event.kind !== "comment") tokenCame();
        onEvent(event);
        if (event.kind === "last") return;
      }
    }
  } catch (error) {
    throw known ?? (await brokenExchange(exchange, error, signal));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", giveUp);
    giveUp();
  }
}
