import { isIP, isIPv4, isIPv6 } from "node:net";
import { HttpRefusal } from "./http-refusal.ts";

const WILDCARDS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** The host of a `Host` header without its port, lower case, IPv6 without brackets; `null` where it is not well-formed. */
export function hostName(header: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::(\d{1,5}))?$/i.exec(header);
  if (match === null) return null;
  const [, bracketed, plain, port] = match;
  if (port !== undefined && Number(port) > 65_535) return null;
  if (bracketed !== undefined) return isIPv6(bracketed) ? bracketed.toLowerCase() : null;
  const name = plain?.toLowerCase().replace(/\.$/, "") ?? "";
  return name === "" ? null : name;
}

function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIPv4(host) && host.startsWith("127.");
}

/**
 * Whether a request with this `Host` may be answered. A page elsewhere can make a browser resolve its own name to this
 * machine, but it cannot change the name that the browser then sends: names are taken by list only. `allowed` holds names and
 * addresses; a wildcard address in it stands for any address written as one.
 */
export function hostAllowed(header: string, allowed: readonly string[]): boolean {
  const host = hostName(header);
  if (host === null) return false;
  if (isLoopback(host)) return true;
  return allowed.some((entry) => {
    const name = entry.toLowerCase();
    return name === host || (WILDCARDS.has(name) && isIP(host) !== 0);
  });
}

/** Refuses a request whose `Host`, or the host in its URL, is not this node's. */
export function checkHost(request: Request, allowed: readonly string[]): void {
  const named = [request.headers.get("host"), new URL(request.url).host];
  const foreign = named.find((host) => host !== null && !hostAllowed(host, allowed));
  if (foreign === undefined || foreign === null) return;
  throw new HttpRefusal(
    403,
    "host_not_allowed",
    `This node does not answer for the host ${JSON.stringify(foreign.slice(0, 100))}.`,
  );
}
