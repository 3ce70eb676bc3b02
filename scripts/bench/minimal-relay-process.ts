// The least that a relay in Node can do, to compare daemons with: what comes is written, and a full side holds up the other.
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { answerParent } from "./bench-process.ts";

const UNSENT_BYTES_MAX: number = 1024 * 1024;

answerParent(async (asked) => {
  const { port } = asked as { readonly port: number };
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port, host: "127.0.0.1", noDelay: true });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (chunk: Buffer) => {
        to.write(chunk);
        if (to.writableLength >= UNSENT_BYTES_MAX) from.pause();
      });
      to.on("drain", () => from.resume());
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
});
