import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { EngineRequest } from "@clusterd/gateway";
import type { ClusterdError } from "@clusterd/wire";

/** A way to a deployment's llama-server, its turn taken: a connected socket. The turn ends when it closes. */
export interface EngineWay {
  readonly apiKey: string;
  readonly socket: Duplex;
}

/**
 * One HTTP exchange with a llama-server, its answer as a web Response with a streaming body. Aborting the signal closes the
 * connection, which frees the engine's slot. Whatever breaks the exchange becomes the error that `explain` gives for it.
 */
export async function fetchEngine(
  { apiKey, socket }: EngineWay,
  request: EngineRequest,
  explain: (error: unknown) => Promise<ClusterdError>,
): Promise<Response> {
  const { signal } = request;
  let answer: IncomingMessage;
  try {
    answer = await exchange(socket, apiKey, request);
  } catch (error) {
    if (signal.aborted) throw error;
    throw await explain(error);
  }
  const headers = new Headers();
  for (const name of ["content-type", "retry-after"]) {
    const value = answer.headers[name];
    if (typeof value === "string") headers.set(name, value);
  }
  return new Response(bodyOf(answer, signal, explain), { status: answer.statusCode ?? 502, headers });
}

function exchange(socket: Duplex, apiKey: string, request: EngineRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false });
    // The socket is connected already, here or at the other end of a tunnel.
    agent.createConnection = () => socket;
    const outgoing = httpRequest(
      {
        agent,
        host: "127.0.0.1",
        method: request.method,
        path: request.path,
        signal: request.signal,
        headers: {
          authorization: `Bearer ${apiKey}`,
          ...(request.body === null
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(request.body) }),
        },
      },
      resolve,
    );
    outgoing.once("error", (error) => {
      socket.destroy();
      reject(error);
    });
    outgoing.end(request.body ?? undefined);
  });
}

/**
 * The body as a web stream that errors, with the cause, where the engine's answer ends before its end. Read to its end, or cancelled
 * at any point, even before its first byte, it closes the connection.
 */
function bodyOf(
  answer: IncomingMessage,
  signal: AbortSignal,
  explain: (error: unknown) => Promise<ClusterdError>,
): ReadableStream<Uint8Array> {
  const chunks = answer[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  let cancelled = false;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const next = await chunks.next();
          if (next.done !== true) {
            controller.enqueue(next.value);
            return;
          }
          if (!answer.complete) throw new Error("the engine's answer was cut");
          controller.close();
          answer.destroy();
        } catch (error) {
          answer.destroy();
          if (cancelled) return;
          controller.error(signal.aborted ? error : await explain(error));
        }
      },
      cancel() {
        cancelled = true;
        answer.destroy();
      },
    },
    { highWaterMark: 0 },
  );
}
