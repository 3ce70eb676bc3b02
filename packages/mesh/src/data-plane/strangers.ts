import type { Socket } from "node:net";

/** Sockets that have not shown a ticket yet: in all, and from one address. */
export const STRANGERS_MAX = 64;
const STRANGERS_PER_ADDRESS_MAX = 32;

const keyOf = (address: string | undefined, port: number | undefined): string => `${address} ${port}`;

/** The sockets that have proved nothing yet. */
export interface Strangers {
  readonly size: number;
  add(socket: Socket): void;
  /** The socket from that address and port has proved itself. */
  release(address: string | undefined, port: number | undefined): void;
}

/**
 * A bounded table of sockets that have proved nothing. Where it is full the oldest goes, of the same address first: an
 * honest peer needs milliseconds to prove itself, so a crowd that only waits cannot keep it out.
 */
export function createStrangers(): Strangers {
  /** In the order in which they came. */
  const sockets = new Map<string, { readonly socket: Socket; readonly address: string | undefined }>();

  function dropOldest(address?: string): void {
    for (const [key, stranger] of sockets) {
      if (address !== undefined && stranger.address !== address) continue;
      sockets.delete(key);
      stranger.socket.destroy();
      return;
    }
  }

  return {
    get size() {
      return sockets.size;
    },
    add(socket) {
      const { remoteAddress: address, remotePort: port } = socket;
      const fromThere = [...sockets.values()].filter((stranger) => stranger.address === address).length;
      if (address !== undefined && fromThere >= STRANGERS_PER_ADDRESS_MAX) dropOldest(address);
      else if (sockets.size >= STRANGERS_MAX) dropOldest();
      const key = keyOf(address, port);
      sockets.set(key, { socket, address });
      socket.once("close", () => {
        if (sockets.get(key)?.socket === socket) sockets.delete(key);
      });
    },
    release(address, port) {
      sockets.delete(keyOf(address, port));
    },
  };
}
