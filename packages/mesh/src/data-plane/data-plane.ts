import { once } from "node:events";
import { connect as connectTcp, createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, createServer, type Server, type TLSSocket } from "node:tls";
import { ClusterdError } from "@clusterd/wire";
import { fingerprintOf, type Certificate } from "./certificate.ts";
import { joinSockets, type Traffic } from "./join-sockets.ts";
import { ACCEPTED, encodePreamble, makeTicket, PREAMBLE_BYTES, REFUSED, sameTicket, TARGET_DOWN, ticketOf } from "./preamble.ts";
import { readExactly } from "./read-exactly.ts";
import { createStrangers } from "./strangers.ts";

/** A peer that has not shown its ticket within this is dropped. */
export const PREAMBLE_MS_MAX = 5_000;
/** How long opening a tunnel may take. */
export const CONNECT_MS_MAX = 10_000;
/** How long a refused peer may take to read its refusal. */
const REFUSAL_MS_MAX = 1_000;
export const OFFERS_MAX = 512;
/** The lighter cipher first: it carries activations, and 128 bits are not what anyone would break. */
const CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
/** Connections over one loopback listener or offer at once: an engine opens one, and a few short ones while it loads. */
export const TUNNEL_CONNECTIONS_MAX = 32;

export interface OfferOptions {
  /** Fingerprint of the one peer that may use it. */
  readonly peerFingerprint: string;
  readonly target: { readonly host: "127.0.0.1"; readonly port: number };
  readonly kind: "rpc" | "http";
  readonly label: string;
  /** What passes between the target and the peer; without it, bytes as they come. */
  readonly carry?: Carry;
}

/**
 * Passes what comes over a pair of sockets, the loopback one and the encrypted one, until both are closed; resolves with the error if
 * there was one. Both allow half-open connections.
 */
export type Carry = (local: Socket, remote: Socket) => Promise<Error | null>;

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

export interface ListenOptions extends ReachOptions {
  /** The other side was lost while the tunnel was wanted. */
  readonly onFailure?: (reason: string) => void;
  /** What passes between a connection of the engine and the peer; without it, bytes as they come. */
  readonly carry?: Carry;
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
  listen(options: ListenOptions): Promise<Tunnel>;
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
  const strangers = createStrangers();
  const sockets = new Set<Socket>();
  const tunnels = new Set<Tunnel>();
  const tls = {
    key: certificate.keyPem,
    cert: certificate.certificatePem,
    ciphers: CIPHERS,
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
  } as const;

  // Made once: parsing keys and certificates for every connection costs more than the handshake.
  const secureContext = createSecureContext(tls);

  const server = createServer({
    ...tls,
    noDelay: true,
    allowHalfOpen: true,
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: PREAMBLE_MS_MAX,
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.on("connection", (socket: Socket) => {
    strangers.add(socket);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("secureConnection", (socket) => {
    socket.on("error", () => socket.destroy());
    admit(socket).catch(() => socket.destroy());
  });

  /** Lets a socket through to its offer's target once its certificate and its ticket fit together. */
  async function admit(socket: TLSSocket): Promise<void> {
    const { remoteAddress, remotePort } = socket;
    const peer = fingerprintOfPeer(socket);
    const own = [...offers].filter((held) => held.peerFingerprint === peer);
    // Not a byte of a stranger is looked at.
    if (own.length === 0) {
      refuse(socket, REFUSED);
      return;
    }
    const ticket = ticketOf(await readExactly(socket, PREAMBLE_BYTES, AbortSignal.timeout(PREAMBLE_MS_MAX)));
    const offer = own.find((held) => ticket !== null && sameTicket(held.ticket, ticket));
    if (offer === undefined || !offers.has(offer) || offer.sockets.size >= TUNNEL_CONNECTIONS_MAX) {
      refuse(socket, REFUSED);
      return;
    }
    // In the offer's books from here on: disposing of it cuts the socket even while its target is being reached.
    offer.sockets.add(socket);
    socket.once("close", () => offer.sockets.delete(socket));
    const target = connectTcp({ ...offer.target, noDelay: true, allowHalfOpen: true });
    try {
      await once(target, "connect", { signal: AbortSignal.timeout(PREAMBLE_MS_MAX) });
    } catch {
      target.destroy();
      refuse(socket, TARGET_DOWN);
      return;
    }
    strangers.release(remoteAddress, remotePort);
    if (!socket.destroyed) socket.write(Buffer.of(ACCEPTED));
    await (offer.carry ?? carryBytes({ sent: 0, received: 0 }))(target, socket);
  }

  /** A socket that carries another one on has to pass on the end of each direction by itself: it is half-open at times. */
  async function open(options: ReachOptions & { readonly signal: AbortSignal }, allowHalfOpen: boolean): Promise<Socket> {
    const { address, port, peerName } = options;
    const signal = AbortSignal.any([options.signal, AbortSignal.timeout(CONNECT_MS_MAX)]);
    const how = {
      secureContext,
      rejectUnauthorized: false,
      allowHalfOpen,
      host: address,
      port,
      checkServerIdentity: () => undefined,
    };
    const socket = connectTls(how).setNoDelay(true);
    // Whoever uses the socket adds its own; an error that falls between must not end the daemon.
    socket.on("error", () => socket.destroy());
    const abort = (): void => void socket.destroy(new Error(options.signal.aborted ? "it was stopped" : "it took too long"));
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    try {
      await once(socket, "secureConnect");
      if (fingerprintOfPeer(socket) !== options.fingerprint) throw new Error("another certificate answers there");
      socket.write(encodePreamble(options.ticket));
      const [answer] = await readExactly(socket, 1, signal);
      if (answer === TARGET_DOWN) throw new Error("its engine does not answer");
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

  async function listen(options: ListenOptions): Promise<Tunnel> {
    const traffic: Traffic = { sent: 0, received: 0 };
    const connections = new Set<Socket>();
    const closing = new AbortController();
    // The engine speaks first and at once: nothing is read before the other end is there.
    const local = createTcpServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      if (connections.size >= TUNNEL_CONNECTIONS_MAX) {
        socket.destroy();
        return;
      }
      connections.add(socket);
      socket.once("close", () => connections.delete(socket));
      socket.on("error", () => socket.destroy());
      void carry(socket);
    });

    const lost = (reason: string): void => {
      if (!closing.signal.aborted) options.onFailure?.(reason);
    };

    /** One connection of the engine, from its beginning to its end. */
    async function carry(socket: Socket): Promise<void> {
      let remote: Socket;
      try {
        remote = await open({ ...options, signal: closing.signal }, true);
      } catch (error) {
        socket.destroy();
        lost(error instanceof Error ? error.message : String(error));
        return;
      }
      // Whoever ends first is the cause: the engine closes its connections itself, or the other side is lost.
      let first: "engine" | "remote" | null = socket.destroyed ? "engine" : null;
      for (const event of ["end", "error", "close"]) {
        socket.once(event, () => (first ??= "engine"));
        remote.once(event, () => (first ??= "remote"));
      }
      const joined = (options.carry ?? carryBytes(traffic))(socket, remote);
      socket.resume();
      const error = await joined;
      if ((first as "engine" | "remote" | null) !== "remote") return;
      lost(error === null ? "the connection to it was closed" : `the connection to it broke (${error.message})`);
    }

    local.listen(0, "127.0.0.1");
    await once(local, "listening");
    const tunnel: Tunnel = {
      port: (local.address() as AddressInfo).port,
      traffic,
      async [Symbol.asyncDispose]() {
        closing.abort();
        tunnels.delete(tunnel);
        for (const socket of connections) socket.destroy();
        await new Promise<void>((done) => local.close(() => done()));
      },
    };
    tunnels.add(tunnel);
    return tunnel;
  }

  const port = await listenOn(server, config.listen, config.port);
  return {
    port,
    fingerprint: certificate.fingerprint,
    connect: (options) => open(options, false),
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
      await Promise.all([...tunnels].map((tunnel) => tunnel[Symbol.asyncDispose]()));
      const closed = new Promise<void>((done) => server.close(() => done()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const carryBytes =
  (traffic: Traffic): Carry =>
  (local, remote) =>
    joinSockets(local, remote, traffic);

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

/** SHA-256 (hex) of the certificate the other side has shown; null where it has shown none. */
function fingerprintOfPeer(socket: TLSSocket): string | null {
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? null : fingerprintOf(certificate.raw);
}

/** Says no and is gone: a peer that never closes its side must not keep ours open. */
function refuse(socket: TLSSocket, why: number): void {
  // What it sent is thrown away: a socket closed over unread bytes would be reset, and the refusal lost.
  socket.resume();
  socket.end(Buffer.of(why));
  const timer = setTimeout(() => socket.destroy(), REFUSAL_MS_MAX);
  socket.once("end", () => socket.destroy());
  socket.once("close", () => clearTimeout(timer));
}
