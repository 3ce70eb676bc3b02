import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { answerParent } from "./bench-process.ts";

/** What the measuring side announces with its first byte. */
export const ROUND_TRIPS = 0x01;
export const BULK = 0x02;
/** About what one worker and token take of a 24-layer model 1024 wide. */
export const UP_BYTES: number = 9 * 1024;
export const DOWN_BYTES: number = 4 * 1024;
/** Bulk is acknowledged with one byte per so many. */
export const BULK_BYTES: number = 64 * 1024 * 1024;

const ANSWER = Buffer.alloc(DOWN_BYTES, 7);

function serve(socket: Socket): void {
  let mode = 0;
  let pending = 0;
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    pending += chunk.length;
    if (mode === 0) {
      mode = chunk[0] ?? 0;
      pending -= 1;
    }
    const unit = mode === BULK ? BULK_BYTES : UP_BYTES;
    for (; pending >= unit; pending -= unit) socket.write(mode === BULK ? ANSWER.subarray(0, 1) : ANSWER);
  });
}

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

if (process.send !== undefined) {
  answerParent(async (asked) => {
    const { key, cert } = asked as { readonly key: string; readonly cert: string };
    return {
      tcp: await portOf(createServer(serve)),
      tls: await portOf(createTlsServer({ key, cert, minVersion: "TLSv1.3" }, serve)),
    };
  });
}
