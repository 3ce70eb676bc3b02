import { createServer, request as ask } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";

export interface TestProxyOptions {
  /** Ports of this machine by `HOST:PORT` as clients name them; anything else is not reached (502). */
  readonly hosts: Readonly<Record<string, number>>;
  /** `NAME:PASSWORD` that it asks for. */
  readonly login?: string;
}

export interface TestProxy extends AsyncDisposable {
  readonly url: string;
  /** `HOST:PORT`. */
  readonly host: string;
  /** Each request as it came: `GET http://…` or `CONNECT HOST:PORT`. */
  readonly seen: string[];
}

/** A real HTTP proxy: requests in absolute form, tunnels by CONNECT. Names are its own to resolve, as with any proxy. */
export async function startTestProxy({ hosts, login }: TestProxyOptions): Promise<TestProxy> {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const isAllowed = (header: string | undefined): boolean =>
    login === undefined || header === `Basic ${Buffer.from(login).toString("base64")}`;
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (!isAllowed(request.headers["proxy-authorization"])) {
      response.writeHead(407, { "proxy-authenticate": "Basic" }).end();
      return;
    }
    const url = URL.canParse(request.url ?? "") ? new URL(request.url ?? "") : null;
    const port = url === null ? undefined : hosts[`${url.hostname}:${url.port || 80}`];
    if (url === null || port === undefined) {
      response.writeHead(502).end();
      return;
    }
    const { "proxy-authorization": _, ...headers } = request.headers;
    const onward = ask(
      { host: "127.0.0.1", port, path: `${url.pathname}${url.search}`, headers, method: request.method },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  server.on("connect", (request, client: Socket) => {
    seen.push(`CONNECT ${request.url}`);
    client.on("error", () => client.destroy());
    const port = hosts[request.url ?? ""];
    if (!isAllowed(request.headers["proxy-authorization"]) || port === undefined) {
      const isKnown = isAllowed(request.headers["proxy-authorization"]);
      client.end(`HTTP/1.1 ${isKnown ? "502 Bad Gateway" : "407 Proxy Authentication Required"}\r\n\r\n`);
      return;
    }
    const onward = connect(port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      onward.pipe(client);
      client.pipe(onward);
    });
    onward.on("error", () => client.destroy());
    client.on("close", () => onward.destroy());
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `http://${login === undefined ? "" : `${login}@`}${host}`,
    host,
    seen,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
