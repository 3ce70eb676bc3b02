import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createSecureContext, createServer as createTlsServer, TLSSocket } from "node:tls";
import { acceptPlain, acceptTls, PREAMBLE_MS_MAX, type Accepting } from "./accept-tunnel.ts";
import type { Certificate } from "./certificate.ts";
import type { Traffic } from "./join-sockets.ts";
import { listenOnLoopback, type ListenOptions, type Tunnel } from "./listen-on-loopback.ts";
import { createOffers, type Offer, type OfferOptions } from "./offers.ts";
import { reachPeer, type Reach, type Reacher, type ReachOptions } from "./reach-peer.ts";
import { readExactly } from "./read-exactly.ts";
import { createStrangers } from "./strangers.ts";
import { isTrusted, type TrustedLink } from "./trusted-link.ts";

/** The lighter cipher first: it carries activations, and 128 bits are not what anyone would break. */
const CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";

/** How every TLS connection begins; a plain one begins with a letter. */
const TLS_HANDSHAKE = 0x16;
/** Peers that were named as reached without encryption. */
const PLAIN_PEERS_MAX = 256;

/**
 * Sockets between daemons, both sides known by the fingerprints they told each other over Noise: TLS 1.3, but for links that both ends
 * declare private.
 */
export interface DataPlane extends AsyncDisposable {
  readonly port: number;
  readonly fingerprint: string;
  /** Of all tunnels since the start, encryption included. */
  readonly traffic: Readonly<Traffic>;
  offer(options: OfferOptions): Offer;
  connect(options: ReachOptions & { readonly signal: AbortSignal }): Promise<Socket>;
  listen(options: ListenOptions): Promise<Tunnel>;
}

export interface DataPlaneConfig {
  readonly certificate: Certificate;
  readonly listen: string;
  /** Taken if free, else any; 0: any. */
  readonly port: number;
  /** Links over which tunnels may go without encryption, where the other end declares them as well. */
  readonly trustedLinks?: readonly TrustedLink[];
  /** The first tunnel without encryption with a peer at that address. */
  readonly onUnencrypted?: (address: string) => void;
}

export async function startDataPlane(config: DataPlaneConfig): Promise<DataPlane> {
  const { certificate, trustedLinks = [] } = config;
  const { fingerprint } = certificate;
  const offers = createOffers();
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
  /** Of sockets that are closed. */
  const past: Traffic = { sent: 0, received: 0 };
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      past.sent += socket.bytesWritten;
      past.received += socket.bytesRead;
    });
  };

  const plainPeers = new Set<string>();
  function tellUnencrypted(address: string): void {
    if (plainPeers.has(address)) return;
    if (plainPeers.size >= PLAIN_PEERS_MAX) plainPeers.clear();
    plainPeers.add(address);
    config.onUnencrypted?.(address);
  }
  const accepting: Accepting = { fingerprint, offers, strangers, tellUnencrypted };

  const tlsServer = createTlsServer({
    ...tls,
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: PREAMBLE_MS_MAX,
  });
  tlsServer.on("tlsClientError", (_error, socket) => socket.destroy());
  tlsServer.on("secureConnection", (socket) => {
    socket.on("error", () => socket.destroy());
    acceptTls(socket, accepting).catch(() => socket.destroy());
  });

  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    strangers.add(socket);
    keep(socket);
    if (isTrusted(trustedLinks, socket.remoteAddress)) takeEither(socket).catch(() => socket.destroy());
    else tlsServer.emit("connection", socket);
  });

  /** From a trusted link a plain tunnel may come as well: the first byte tells. */
  async function takeEither(socket: Socket): Promise<void> {
    socket.on("error", () => socket.destroy());
    const first = await readExactly(socket, 1, AbortSignal.timeout(PREAMBLE_MS_MAX));
    socket.unshift(first);
    if (first[0] === TLS_HANDSHAKE) tlsServer.emit("connection", socket);
    else await acceptPlain(socket, accepting);
  }

  const own: Reacher = { fingerprint, secureContext, trusts: (address) => isTrusted(trustedLinks, address) };
  async function open(reach: Reach): Promise<Socket> {
    const socket = await reachPeer(own, reach);
    if (!(socket instanceof TLSSocket)) tellUnencrypted(reach.address);
    keep(socket);
    return socket;
  }

  const port = await listenOn(server, config.listen, config.port);
  return {
    port,
    fingerprint,
    get traffic() {
      const sum = { ...past };
      for (const socket of sockets) {
        sum.sent += socket.bytesWritten;
        sum.received += socket.bytesRead;
      }
      return sum;
    },
    offer: (options) => offers.add(options),
    connect: (options) => open({ ...options, allowHalfOpen: false }),
    async listen(options) {
      const made = await listenOnLoopback(options, (signal) => open({ ...options, signal, allowHalfOpen: true }));
      const tunnel: Tunnel = {
        port: made.port,
        traffic: made.traffic,
        get encrypted() {
          return made.encrypted;
        },
        async [Symbol.asyncDispose]() {
          tunnels.delete(tunnel);
          await made[Symbol.asyncDispose]();
        },
      };
      tunnels.add(tunnel);
      return tunnel;
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
