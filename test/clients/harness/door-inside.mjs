// Runs on a host: what comes to the listener it is handed, which stands outside, goes on to an address of the host.
import { connect } from "node:net";

const [host, port] = process.argv.slice(2);

process.on("message", (_, listener) => {
  listener.on("connection", (client) => {
    const server = connect(Number(port), host);
    client.pipe(server);
    server.pipe(client);
    // A client that is gone is gone at once; what the server has said still arrives.
    client.once("close", () => server.destroy());
    server.once("close", () => client.end());
    for (const socket of [client, server]) socket.on("error", () => undefined);
  });
  process.send("open");
});
process.once("disconnect", () => process.exit(0));
