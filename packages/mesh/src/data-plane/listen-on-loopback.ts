import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { TUNNEL_CONNECTIONS_MAX } from "./accept-tunnel.ts";
import { carryBytes, type Carry } from "./carry.ts";
import type { Traffic } from "./join-sockets.ts";
import type { ReachOptions } from "./reach-peer.ts";

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
  /** Of its latest connection to the peer; null before the first. */
  readonly encrypted: boolean | null;
}

/** Opens a loopback port; `open` brings each of its connections a socket to the peer, or throws with the reason. */
export async function listenOnLoopback(
  { carry, onFailure }: Pick<ListenOptions, "carry" | "onFailure">,
  open: (signal: AbortSignal) => Promise<Socket>,
): Promise<Tunnel> {
  const traffic: Traffic = { sent: 0, received: 0 };
  const connections = new Set<Socket>();
  const closing = new AbortController();
  let encrypted: boolean | null = null;
  // The engine speaks first and at once: nothing is read before the other end is there.
  const local = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
    if (connections.size >= TUNNEL_CONNECTIONS_MAX) {
      socket.destroy();
      return;
    }
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
    socket.on("error", () => socket.destroy());
    void carryOn(socket);
  });

  const lost = (reason: string): void => {
    if (!closing.signal.aborted) onFailure?.(reason);
  };

  /** One connection of the engine, from its beginning to its end. */
  async function carryOn(socket: Socket): Promise<void> {
    let remote: Socket;
    try {
      remote = await open(closing.signal);
      encrypted = remote instanceof TLSSocket;
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
    const joined = (carry ?? carryBytes(traffic))(socket, remote);
    socket.resume();
    const error = await joined;
    if ((first as "engine" | "remote" | null) !== "remote") return;
    lost(error === null ? "the connection to it was closed" : `the connection to it broke (${error.message})`);
  }

  local.listen(0, "127.0.0.1");
  await once(local, "listening");
  return {
    port: (local.address() as AddressInfo).port,
    traffic,
    get encrypted() {
      return encrypted;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      for (const socket of connections) socket.destroy();
      await new Promise<void>((done) => local.close(() => done()));
    },
  };
}
