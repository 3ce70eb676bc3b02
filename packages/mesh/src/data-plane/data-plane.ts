import { once } from "node:events";
import { connect as connectTcp, createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { connect as connectTls, createServer, type Server, type TLSSocket } from "node:tls";
import { ClusterdError } from "@clusterd/wire";
import { fingerprintOf, type Certificate } from "./certificate.ts";
import { joinSockets, type Traffic } from "./join-sockets.ts";
import { ACCEPTED, encodePreamble, makeTicket, PREAMBLE_BYTES, REFUSED, sameTicket, ticketOf } from "./preamble.ts";

/** A peer that has not shown its ticket within this is dropped. */
export const PREAMBLE_MS_MAX = 5_000;
/** How long opening a tunnel may take. */
export const CONNECT_MS_MAX = 10_000;
/** Sockets that have not shown a ticket yet. */
export const STRANGERS_MAX = 64;
export const OFFERS_MAX = 512;
/** Connections over one loopback listener at once: an engine opens one, and a few short ones while it loads. */
export const TUNNEL_CONNECTIONS_MAX = 32;

export interface OfferOptions {
  /** Fingerprint of the one peer that may use it. */
  readonly peerFingerprint: string;
  readonly target: { readonly host: "127.0.0.1"; readonly port: number };
  readonly kind: "rpc" | "http";
  readonly label: string;
}

/** A way to a loopback port of this machine for one peer; disposing of it cuts its tunnels. */
export interface Offer extends Disposable {
  readonly ticket: Uint8Array;
  readonly openTunnels: number;
}

export interface ReachOptions {
  readonly address: string;
  readonly port: number;
  readonly fingerprint: string;
  readonly ticket: Uint8Array;
  readonly peerName: string;
}

/** A loopback port whose every connection goes to a peer's offer. */
export interface Tunnel extends AsyncDisposable {
  readonly port: number;
  readonly traffic: Readonly<Traffic>;
}

/** Encrypted sockets between daemons: TLS 1.3, both sides known by the fingerprints they told each other over Noise. */
export interface DataPlane extends AsyncDisposable {
  readonly port: number;
  readonly fingerprint: string;
  offer(options: OfferOptions): Offer;
  connect(options: ReachOptions & { readonly signal: AbortSignal }): Promise<Socket>;
  listen(options: ReachOptions & { readonly onFailure?: (reason: string) => void }): Promise<Tunnel>;
}

export interface DataPlaneConfig {
  readonly certificate: Certificate;
  readonly listen: string;
  /** Taken if free, else any; 0: any. */
  readonly port: number;
}

interface HeldOffer extends OfferOptions {
  readonly ticket: Uint8Array;
  readonly sockets: Set<Socket>;
}

export async function startDataPlane(config: DataPlaneConfig): Promise<DataPlane> {
  const { certificate } = config;
  const offers = new Set<HeldOffer>();
  const strangers = new Set<Socket>();
  const sockets = new Set<Socket>();
  const tls = { key: certificate.keyPem, cert: certificate.certificatePem, minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as const;

  const server = createServer({ ...tls, allowHalfOpen: true, requestCert: true, rejectUnauthorized: false, handshakeTimeout: PREAMBLE_MS_MAX });
  server.on("tlsClientError", () => undefined);
  server.on("connection", (socket: Socket) => {
    if (strangers.size >= STRANGERS_MAX) {
      socket.destroy();
      return;
    }
    strangers.add(socket);
    sockets.add(socket);
    socket.once("close", () => {
      strangers.delete(socket);
      sockets.delete(socket);
    });
  });
  server.on("secureConnection", (socket) => void admit(socket).catch(() => socket.destroy()));

  /** Lets a socket through to its offer's target once its certificate and its ticket fit together. */
  async function admit(socket: TLSSocket): Promise<void> {
    socket.on("error", () => socket.destroy());
    const preamble = await readExactly(socket, PREAMBLE_BYTES, AbortSignal.timeout(PREAMBLE_MS_MAX));
    const ticket = ticketOf(preamble);
    const peer = socket.getPeerX509Certificate();
    const offer = [...offers].find((held) => ticket !== null && sameTicket(held.ticket, ticket));
    if (offer === undefined || peer === undefined || fingerprintOf(peer.raw) !== offer.peerFingerprint) {
      socket.end(Buffer.of(REFUSED));
      return;
    }
    const target = connectTcp({ ...offer.target, allowHalfOpen: true });
    try {
      await once(target, "connect", { signal: AbortSignal.timeout(PREAMBLE_MS_MAX) });
    } catch {
      target.destroy();
      socket.end(Buffer.of(REFUSED));
      return;
    }
    // From here on the peer is one of ours.
    const raw = [...strangers].find((stranger) => stranger.remotePort === socket.remotePort && stranger.remoteAddress === socket.remoteAddress);
    if (raw !== undefined) strangers.delete(raw);
    offer.sockets.add(socket);
    socket.write(Buffer.of(ACCEPTED));
    await joinSockets(target, socket, { sent: 0, received: 0 });
    offer.sockets.delete(socket);
  }

  async function connect(options: ReachOptions & { readonly signal: AbortSignal }): Promise<Socket> {
    const { address, port, peerName } = options;
    const signal = AbortSignal.any([options.signal, AbortSignal.timeout(CONNECT_MS_MAX)]);
    const socket = connectTls({ ...tls, allowHalfOpen: true, host: address, port, rejectUnauthorized: false, checkServerIdentity: () => undefined });
    const abort = (): void => void socket.destroy(new Error("it took too long or was stopped"));
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    try {
      await once(socket, "secureConnect");
      const peer = socket.getPeerX509Certificate();
      if (peer === undefined || fingerprintOf(peer.raw) !== options.fingerprint) throw new Error("another certificate answers there");
      socket.setNoDelay(true);
      socket.write(encodePreamble(options.ticket));
      const [answer] = await readExactly(socket, 1, signal);
      if (answer !== ACCEPTED) throw new Error("it does not take this ticket");
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      return socket;
    } catch (error) {
      socket.destroy();
      const why = error instanceof Error ? error.message : String(error);
      throw new ClusterdError("worker_lost", `${peerName} cannot be reached at ${address}:${port}: ${why}`, { cause: error });
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async function listen(options: ReachOptions & { readonly onFailure?: (reason: string) => void }): Promise<Tunnel> {
    const traffic: Traffic = { sent: 0, received: 0 };
    const open = new Set<Socket>();
    const closing = new AbortController();
    // The engine speaks first and at once: nothing is read before the other end is there.
    const local = createTcpServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      if (open.size >= TUNNEL_CONNECTIONS_MAX) {
        socket.destroy();
        return;
      }
      open.add(socket);
      socket.once("close", () => open.delete(socket));
      socket.on("error", () => socket.destroy());
      connect({ ...options, signal: closing.signal }).then(
        async (remote) => {
          // Whoever ends first is the cause: the engine closes its connections itself, or the other side is lost.
          let engineEnded = false;
          let remoteEnded = false;
          socket.once("end", () => (engineEnded = !remoteEnded));
          remote.once("end", () => (remoteEnded = !engineEnded));
          remote.once("error", () => (remoteEnded = !engineEnded));
          remote.once("close", () => (remoteEnded = !engineEnded));
          const joined = joinSockets(socket, remote, traffic);
          socket.resume();
          const error = await joined;
          if (remoteEnded && !closing.signal.aborted) options.onFailure?.(error === null ? "the connection to it was closed" : `the connection to it broke (${error.message})`);
        },
        (error: unknown) => {
          socket.destroy();
          if (!closing.signal.aborted) options.onFailure?.(error instanceof Error ? error.message : String(error));
        },
      );
    });
    local.listen(0, "127.0.0.1");
    await once(local, "listening");
    return {
      port: (local.address() as AddressInfo).port,
      traffic,
      async [Symbol.asyncDispose]() {
        closing.abort();
        for (const socket of open) socket.destroy();
        await new Promise<void>((done) => local.close(() => done()));
      },
    };
  }

  const port = await listenOn(server, config.listen, config.port);
  return {
    port,
    fingerprint: certificate.fingerprint,
    connect,
    listen,
    offer(options) {
      if (offers.size >= OFFERS_MAX) throw new ClusterdError("failed", `This node offers ${OFFERS_MAX} tunnels already.`);
      const held: HeldOffer = { ...options, ticket: makeTicket(), sockets: new Set() };
      offers.add(held);
      return {
        ticket: held.ticket,
        get openTunnels() {
          return held.sockets.size;
        },
        [Symbol.dispose]() {
          offers.delete(held);
          for (const socket of held.sockets) socket.destroy();
        },
      };
    },
    async [Symbol.asyncDispose]() {
      offers.clear();
      const closed = new Promise<void>((done) => server.close(() => done()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function listenOn(server: Server, host: string, port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host, port, exclusive: true }, () => resolve());
  try {
    await promise;
  } catch (error) {
    // Members learn the port from the advert: any other serves as well.
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE" && port !== 0) return listenOn(server, host, 0);
    throw error;
  } finally {
    server.removeListener("error", reject);
  }
  return (server.address() as AddressInfo).port;
}

/** Exactly so many bytes from a socket's beginning; what follows stays in the socket. */
async function readExactly(socket: Socket, length: number, signal: AbortSignal): Promise<Buffer> {
  for (;;) {
    const chunk = socket.read(length) as Buffer | null;
    if (chunk !== null) {
      if (chunk.length < length) throw new Error("it closed the connection");
      return chunk;
    }
    if (socket.readableEnded || socket.destroyed) throw new Error("it closed the connection");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    const fail = (): void => reject(new Error("it closed the connection or took too long"));
    socket.once("readable", wake);
    socket.once("close", fail);
    socket.once("error", fail);
    signal.addEventListener("abort", fail, { once: true });
    try {
      await promise;
    } finally {
      socket.removeListener("readable", wake);
      socket.removeListener("close", fail);
      socket.removeListener("error", fail);
      signal.removeEventListener("abort", fail);
    }
  }
}
