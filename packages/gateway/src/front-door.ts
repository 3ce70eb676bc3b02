import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { HttpRefusal, errorBody } from "./http-refusal.ts";
import { closeLingering, isLingering } from "./lingering-close.ts";
import { BODY_BYTES_MAX, URL_LENGTH_MAX } from "./limits.ts";

type Handler = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

/**
 * Guards what the HTTP parser lets through, before anything of the request is used; and says no to what it does not let through in
 * the same words as any other refusal.
 */
export function guardFront(server: Server, handle: Handler): void {
  /** The answer that a connection is at. */
  const answering = new WeakMap<Socket, ServerResponse>();

  const take: Handler = (incoming, outgoing) => {
    const { socket } = incoming;
    answering.set(socket, outgoing);
    // A body that is not wanted any more may still be on its way.
    outgoing.prependListener("finish", () => {
      if (!incoming.complete) closeLingering(socket);
    });
    const refusal = refusalOf(incoming);
    if (refusal === null) handle(incoming, outgoing);
    else answer(outgoing, refusal);
  };

  server.on("request", take);
  server.on("checkContinue", (incoming: IncomingMessage, outgoing: ServerResponse) => {
    // Who asks before it sends is told right away where the body would be too large: the answer is then the refusal itself.
    if (Number(incoming.headers["content-length"] ?? 0) <= BODY_BYTES_MAX) outgoing.writeContinue();
    take(incoming, outgoing);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    if (isLingering(socket)) return;
    const current = answering.get(socket);
    const busy = current !== undefined && !current.writableFinished;
    // Words in the midst of an answer would be taken for a part of it.
    if (!socket.writable || error.code === "ECONNRESET" || (busy && current.headersSent)) {
      socket.destroy();
      return;
    }
    socket.write(rawAnswer(parserRefusal(error.code)));
    if (busy) socket.destroySoon();
    else closeLingering(socket);
  });
}

/** What the parser lets through and nobody should rely on. */
function refusalOf({ url = "", rawHeaders }: IncomingMessage): HttpRefusal | null {
  if (url.length > URL_LENGTH_MAX) {
    return new HttpRefusal(414, "invalid_request", `The URL is longer than ${URL_LENGTH_MAX} characters.`, CLOSE);
  }
  // Of two, one program goes by the first and the next one by the last.
  const hosts = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === "host").length;
  return hosts > 1 ? new HttpRefusal(400, "invalid_request", "The request has more than one Host header.", CLOSE) : null;
}

const CLOSE = { headers: { connection: "close" } } as const;

function answer(outgoing: ServerResponse, refusal: HttpRefusal): void {
  outgoing.writeHead(refusal.status, { "content-type": "application/json; charset=utf-8", ...refusal.headers });
  outgoing.end(errorBody(refusal));
}

function parserRefusal(code: string | undefined): HttpRefusal {
  if (code === "HPE_HEADER_OVERFLOW") return new HttpRefusal(431, "invalid_request", "The headers are too large.");
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new HttpRefusal(408, "timeout", "The request came too slowly.");
  return new HttpRefusal(400, "invalid_request", "This is not a valid HTTP request.");
}

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
};

function rawAnswer(refusal: HttpRefusal): string {
  const body = errorBody(refusal);
  return [
    `HTTP/1.1 ${refusal.status} ${REASONS[refusal.status] ?? ""}`,
    "Connection: close",
    "Content-Type: application/json; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "",
    body,
  ].join("\r\n");
}
