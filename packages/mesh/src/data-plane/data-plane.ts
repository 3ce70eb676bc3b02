import type { AddressInfo, Socket } from "node:net";
import { createSecureContext, createServer, type Server } from "node:tls";
import { acceptTls, PREAMBLE_MS_MAX } from "./accept-tunnel.ts";
import type { Certificate } from "./certificate.ts";
import { listenOnLoopback, type ListenOptions, type Tunnel } from "./listen-on-loopback.ts";
import { createOffers, type Offer, type OfferOptions } from "./offers.ts";
import { reachPeer, type Reach, type ReachOptions } from "./reach-peer.ts";
import { createStrangers } from "./strangers.ts";

/** The lighter cipher first: it carries activations, and 128 bits are not what anyone would break. */
const CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";

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

export async function startDataPlane(config: DataPlaneConfig): Promise<DataPlane> {
  const { certificate } = config;
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
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  };

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
    keep(socket);
  });
  server.on("secureConnection", (socket) => {
    socket.on("error", () => socket.destroy());
    acceptTls(socket, offers, strangers).catch(() => socket.destroy());
  });

  async function open(reach: Reach): Promise<Socket> {
    const socket = await reachPeer(secureContext, reach);
    keep(socket);
    return socket;
  }

  const port = await listenOn(server, config.listen, config.port);
  return {
    port,
    fingerprint: certificate.fingerprint,
    offer: (options) => offers.add(options),
    connect: (options) => open({ ...options, allowHalfOpen: false }),
    async listen(options) {
      const made = await listenOnLoopback(options, (signal) => open({ ...options, signal, allowHalfOpen: true }));
      const tunnel: Tunnel = {
        port: made.port,
        traffic: made.traffic,
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
