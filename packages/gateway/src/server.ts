import { once } from "node:events";
import type { Server } from "node:http";
import { isIPv6, type AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { createServer } from "node:http";
import { ClusterdError } from "@clusterd/wire";
import { guardFront } from "./front-door.ts";
import { createGateway, type GatewayOptions } from "./gateway.ts";
import {
  CLOSE_GRACE_MS,
  CONNECTIONS_MAX,
  CONNECTION_SWEEP_MS,
  HEADERS_MS_MAX,
  HEADER_BYTES_MAX,
  READER_STALL_MS_MAX,
  REQUEST_MS_MAX,
  RESPONSE_BYTES_MAX,
} from "./limits.ts";
import { cutStalledReaders } from "./stalled-readers.ts";

export interface ServerOptions extends GatewayOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Ends the gateway as disposing of it does. */
  readonly signal?: AbortSignal;
  /** Connection limits, where others than the usual are wanted. Milliseconds. */
  readonly timing?: { readonly headersMsMax?: number; readonly requestMsMax?: number; readonly readerStallMsMax?: number };
}

const IDLE_SWEEP_MS = 25;

export type RunningGateway = AsyncDisposable & { readonly url: string; readonly port: number };

/** Serves the gateway on a TCP port until it is disposed of. A port that is taken is a `port_in_use` error. */
export async function startGateway(options: ServerOptions): Promise<RunningGateway> {
  const { host, timing = {}, signal } = options;
  signal?.throwIfAborted();
  const gateway = createGateway({ ...options, allowedHosts: [...options.allowedHosts, host] });
  const listener = getRequestListener((request, env) => gateway.fetch(request, env as Parameters<typeof gateway.fetch>[1]), {
    overrideGlobalObjects: false,
    // Bodies that nobody wants are dealt with at the front.
    autoCleanupIncoming: false,
  });
  const server = createServer({
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: timing.headersMsMax ?? HEADERS_MS_MAX,
    requestTimeout: timing.requestMsMax ?? REQUEST_MS_MAX,
    connectionsCheckingInterval: Math.min(CONNECTION_SWEEP_MS, timing.headersMsMax ?? HEADERS_MS_MAX),
    highWaterMark: RESPONSE_BYTES_MAX,
    noDelay: true,
  });
  guardFront(server, (incoming, outgoing) => void listener(incoming, outgoing));
  server.maxConnections = CONNECTIONS_MAX;
  const stalled = cutStalledReaders(server, timing.readerStallMsMax ?? READER_STALL_MS_MAX);
  await listen(server, host, options.port);
  const { port } = server.address() as AddressInfo;

  let closing: Promise<void> | null = null;
  const close = (): Promise<void> =>
    (closing ??= (async () => {
      signal?.removeEventListener("abort", onAbort);
      const closed = once(server, "close");
      server.close();
      gateway.close();
      // Streams end within moments, and leave connections that are idle then.
      const idle = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS);
      const grace = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
      await closed;
      clearInterval(idle);
      clearTimeout(grace);
      stalled[Symbol.dispose]();
    })());
  const onAbort = (): void => void close();
  signal?.addEventListener("abort", onAbort);
  return { url: `http://${isIPv6(host) ? `[${host}]` : host}:${port}`, port, [Symbol.asyncDispose]: close };
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    const listening = once(server, "listening");
    server.listen({ host, port, exclusive: true });
    await listening;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") throw await portInUse(host, port, error);
    if (code === "EACCES") {
      throw new ClusterdError("usage", `Port ${port} may not be opened by this user.`, {
        next: "Choose one above 1023 with --api-port.",
        cause: error,
      });
    }
    if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
      throw new ClusterdError("usage", `${host} is not an address of this machine.`, {
        next: "Give one that is with --api-host.",
        cause: error,
      });
    }
    throw error;
  }
}

const PROBE_MS_MAX = 500;

/** Says who holds the port where that is another clusterd, which answers for itself. */
async function portInUse(host: string, port: number, cause: unknown): Promise<ClusterdError> {
  const target = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : isIPv6(host) ? `[${host}]` : host;
  const holder = await fetch(`http://${target}:${port}/health`, { signal: AbortSignal.timeout(PROBE_MS_MAX), redirect: "manual" })
    .then(async (answer) => {
      await answer.body?.cancel();
      return answer.headers.get("x-clusterd-node");
    })
    .catch(() => null);
  const who =
    holder === null
      ? "another program, or a clusterd that does not answer"
      : `the clusterd daemon of node ${JSON.stringify(holder)}, with another home`;
  return new ClusterdError("port_in_use", `Port ${port} on ${host} is held by ${who}.`, {
    next: "Stop that, or choose another port with --api-port.",
    details: { port, host },
    cause,
  });
}
