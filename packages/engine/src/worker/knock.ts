import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** Between two knocks at a port where nobody listens yet. */
const KNOCK_INTERVAL_MS = 20;

/** Connects to a loopback port once somebody listens there, says nothing, and hangs up. Ends quietly when the signal aborts. */
export async function knock(port: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !(await answered(port))) await sleep(KNOCK_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
}

function answered(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
