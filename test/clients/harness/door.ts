import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import type { Host } from "../../cluster/harness/hosts.ts";

const INSIDE = join(import.meta.dirname, "door-inside.mjs");

/** Where a client outside reaches what listens on a host. */
export interface Door extends AsyncDisposable {
  readonly url: string;
}

/**
 * Opens a way from this process to a port of a host that shares no network with it: a socket keeps the network it was made in, so the
 * listener is made here and handed to a process there. Clients speak TCP to it as to any server, and an abort arrives as one.
 */
export async function openDoor(host: Host, address: string, port: number): Promise<Door> {
  if (!host.ownPorts) return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: async () => undefined };
  const listener = createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port: outside } = listener.address() as AddressInfo;
  const [command, words] = host.wrap(process.execPath, [INSIDE, address, String(port)]);
  const child = spawn(command, [...words], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  child.send("listen", listener);
  await once(child, "message");
  listener.close();
  return {
    url: `http://127.0.0.1:${outside}`,
    async [Symbol.asyncDispose]() {
      const ended = once(child, "exit");
      child.disconnect();
      await ended;
    },
  };
}
