import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";

/** A loopback port that nobody listens on now; somebody may a moment later. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((done) => server.close(() => done()));
  return port;
}
