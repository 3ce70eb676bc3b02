import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** Bytes under way in one direction before the sender is held. */
const UNDER_WAY_BYTES_MAX: number = 64 * 1024 * 1024;

/** A wire with a length: what goes in at a loopback port comes out at another after a while, both ways. */
export interface DelayProxy extends AsyncDisposable {
  readonly port: number;
  /** Times the far end's bytes followed on the near end's so far: each is a round trip that somebody waited for. */
  readonly roundTrips: number;
}

/** Passes TCP connections on to a loopback port, every byte `oneWayMs` late (timers round up to whole milliseconds). */
export async function startDelayProxy(port: number, oneWayMs: number): Promise<DelayProxy> {
  const sockets = new Set<Socket>();
  let roundTrips = 0;
  const server = createServer((near) => {
    const far = connect({ host: "127.0.0.1", port, noDelay: true });
    near.setNoDelay(true);
    let asked = false;
    delayed(near, far, oneWayMs, () => (asked = true));
    delayed(far, near, oneWayMs, () => {
      if (asked) roundTrips += 1;
      asked = false;
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on("error", () => one.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get roundTrips() {
      return roundTrips;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function delayed(from: Socket, to: Socket, ms: number, onData: () => void): void {
  let underWay = 0;
  from.on("data", (chunk: Buffer) => {
    onData();
    underWay += chunk.length;
    if (underWay > UNDER_WAY_BYTES_MAX) from.pause();
    // Timers of one duration fire in the order in which they were set.
    setTimeout(() => {
      underWay -= chunk.length;
      if (underWay <= UNDER_WAY_BYTES_MAX) from.resume();
      if (!to.destroyed) to.write(chunk);
    }, ms);
  });
}
