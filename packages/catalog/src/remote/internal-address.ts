import { BlockList, isIP } from "node:net";

/** Addresses that are nobody's on the internet: this machine, the networks around it, where clouds tell machines their secrets. */
const INTERNAL = new BlockList();
for (const [network, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const) {
  INTERNAL.addSubnet(network, bits, "ipv4");
  // The same through a network's translator (RFC 6052), and as the oldest v6 wrote it.
  for (const prefix of ["64:ff9b::", "::"]) INTERNAL.addSubnet(`${prefix}${network}`, 96 + bits, "ipv6");
}
for (const [network, bits] of [
  ["::", 127],
  ["fc00::", 7],
  ["fe80::", 10],
  ["ff00::", 8],
] as const)
  INTERNAL.addSubnet(network, bits, "ipv6");

/** This machine alone. */
const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** Whether an address (not a name) is one of these. */
export function isInternalAddress(address: string): boolean {
  const family = isIP(address);
  // A v4 address in v6 clothes is checked as what it is.
  return family !== 0 && INTERNAL.check(address, family === 4 ? "ipv4" : "ipv6");
}

/** Whether a URL's host is this machine. */
export function isLoopbackHost(hostname: string): boolean {
  const host = plainHost(hostname);
  const family = isIP(host);
  return family === 0 ? /(?:^|\.)localhost$/u.test(host) : LOOPBACK.check(host, family === 4 ? "ipv4" : "ipv6");
}

const plainHost = (hostname: string): string =>
  hostname
    .replace(/^\[|\]$/gu, "")
    .replace(/\.$/u, "")
    .toLowerCase();

/**
 * Whether a URL's host is one of these, or a name that only a local network knows. What a name of the internet resolves to is looked at when
 * it is connected to.
 */
export function isInternalHost(hostname: string): boolean {
  const host = plainHost(hostname);
  if (isIP(host) !== 0) return isInternalAddress(host);
  return !host.includes(".") || /\.(?:local|localhost|internal|home\.arpa|lan)$/u.test(host);
}
