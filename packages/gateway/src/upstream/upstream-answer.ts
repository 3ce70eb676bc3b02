import { ClusterdError } from "@clusterd/wire";
import { createUpstreamEvents } from "./upstream-events.ts";
import type { Upstream } from "./upstream.ts";

interface AnswerOptions {
  readonly stream: boolean;
  readonly silenceMsMax: number;
  /** Closes the exchange. */
  readonly close: () => void;
}

/** The body of an upstream's good answer, as the engine would have given it: read only as fast as it is taken. */
export function upstreamAnswer({ name }: Upstream, answer: Response, { stream, silenceMsMax, close }: AnswerOptions): Response {
  const reader = (answer.body ?? new Blob([]).stream()).getReader();
  const events = createUpstreamEvents(name);
  const wordsOf = (bytes: Uint8Array): readonly Uint8Array[] => (stream ? events.push(bytes) : [bytes]);

  const next = async (): Promise<readonly Uint8Array[] | null> => {
    const { promise: silent, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(new ClusterdError("upstream_failed", `The upstream ${name} sent nothing for ${silenceMsMax / 1000} s.`)),
      silenceMsMax,
    );
    try {
      for (;;) {
        if (events.failure !== null) throw events.failure;
        const { done, value } = await Promise.race([reader.read(), silent]);
        if (done) return null;
        timer.refresh();
        const parts = wordsOf(value);
        if (parts.length > 0) return parts;
      }
    } catch (error) {
      if (error instanceof ClusterdError) throw error;
      throw new ClusterdError("upstream_failed", `The upstream ${name} broke off its answer.`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  };

  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const parts = await next();
          if (parts === null) {
            close();
            controller.close();
          } else for (const part of parts) controller.enqueue(part);
        } catch (error) {
          close();
          controller.error(error);
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "content-type": stream ? "text/event-stream" : "application/json" } });
}
