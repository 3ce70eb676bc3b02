import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { Readable } from "node:stream";
import type { EngineRequest } from "@clusterd/gateway";
import type { ClusterdError } from "@clusterd/wire";

/** How one reaches a deployment's llama-server: on this machine by its port, elsewhere through a tunnel. */
export interface EngineAddress {
  readonly apiKey: string;
  /** A connected socket to the engine's HTTP port. */
  connect(signal: AbortSignal): Promise<Duplex>;
}

/**
 * One HTTP exchange with a llama-server, its answer as a web Response with a streaming body. Aborting the signal closes the
 * connection, which frees the engine's slot. Whatever breaks the exchange becomes the error that `explain` gives for it.
 */
export async function fetchEngine(
  address: EngineAddress,
  request: EngineRequest,
  explain: (error: unknown) => Promise<ClusterdError>,
): Promise<Response> {
  const { signal } = request;
  signal.throwIfAborted();
  let answer: IncomingMessage;
  try {
    const socket = await address.connect(signal);
    answer = await exchange(socket, address.apiKey, request);
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

/** The body as a web stream that errors, with the cause, where the engine's answer ends before its end. */
function bodyOf(
  answer: IncomingMessage,
  signal: AbortSignal,
  explain: (error: unknown) => Promise<ClusterdError>,
): ReadableStream<Uint8Array> {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of answer) yield chunk as Uint8Array;
      if (!answer.complete) throw new Error("the engine's answer was cut");
    } catch (error) {
      if (signal.aborted) throw error;
      throw await explain(error);
    } finally {
      answer.destroy();
    }
  }
  return Readable.toWeb(Readable.from(chunks(), { objectMode: false, highWaterMark: 64 * 1024 })) as ReadableStream<Uint8Array>;
}
