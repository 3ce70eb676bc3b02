import type { Connection } from "@libp2p/interface";

/** The IP address at a connection's other end. */
export function ipOf(connection: Connection): string {
  return connection.remoteAddr.toString().split("/")[2] ?? "";
}

/** Where a connection's other end can be dialled. */
export function addressToDial(connection: Connection): string {
  const [, family, ip] = connection.remoteAddr.toString().split("/");
  const port = connection.direction === "outbound" ? /\/tcp\/(\d+)/.exec(connection.remoteAddr.toString())?.[1] : undefined;
  // The port an inbound connection came from is not one to dial.
  return `/${family}/${ip}/tcp/${port ?? 2574}`;
}
