import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { takesConnections } from "./takes-connections.ts";

test("a port that is listened on takes connections; a closed one does not", async () => {
  const server = createServer((socket) => socket.on("error", () => undefined).resume());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  expect(await takesConnections("127.0.0.1", port)).toBe(true);
  await new Promise((done) => server.close(done));
  expect(await takesConnections("127.0.0.1", port)).toBe(false);
});
