import type { Duplex } from "node:stream";
import { CALLER_LENGTH_MAX } from "./limits.ts";
import { encodeLine, parseAnswer, readLines, refusalOf } from "./gate-lines.ts";

export interface PassOptions {
  readonly caller: string;
  readonly path: string;
  readonly more: boolean;
  readonly signal: AbortSignal;
  /** Places in the queue at the head, and 0 once the gate is open. */
  readonly onPosition: (position: number, retryAfterSeconds: number) => void;
}

/**
 * Asks at a head's gate and waits until it opens: what comes and goes from then on is the engine's. Gives the engine's key. Throws
 * the gate's refusal, or an error where the connection breaks first; the socket is destroyed then.
 */
export async function passGate(socket: Duplex, { caller, path, more, signal, onPosition }: PassOptions): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const abort = (): void => reject(signal.reason as Error);
  const onError = (error: Error): void => reject(error);
  signal.addEventListener("abort", abort);
  socket.on("error", onError);
  try {
    signal.throwIfAborted();
    readLines(
      socket,
      (line) => {
        const answer = parseAnswer(line);
        if (answer === null) reject(new Error("the gate gave an answer that cannot be read"));
        else if ("go" in answer) resolve(answer.apiKey);
        else if ("error" in answer) reject(refusalOf(answer.error));
        else onPosition(answer.position, answer.retryAfterSeconds);
        return answer !== null && "position" in answer;
      },
      (why) => reject(new Error(why)),
    );
    socket.write(encodeLine({ caller: caller.slice(0, CALLER_LENGTH_MAX), path, more }));
    const apiKey = await promise;
    onPosition(0, 0);
    return apiKey;
  } catch (error) {
    socket.on("error", () => undefined);
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
    socket.off("error", onError);
  }
}
