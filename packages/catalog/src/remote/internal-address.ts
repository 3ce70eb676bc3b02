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
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
] as const)
  INTERNAL.addSubnet(network, bits, "ipv4");
for (const [network, bits] of [
  ["::", 127],
  ["fc00::", 7],
  ["fe80::", 10],
] as const)
  INTERNAL.addSubnet(network, bits, "ipv6");

/**
 * Whether a URL's host is one of these, or a name that only a local network knows. Names of the internet are taken at their word: what they
 * resolve to is not looked up.
 */
export function isInternalHost(hostname: string): boolean {
  const host = hostname
    .replace(/^\[|\]$/gu, "")
    .replace(/\.$/u, "")
    .toLowerCase();
  const family = isIP(host);
  if (family === 4) return INTERNAL.check(host, "ipv4");
  // A v4 address in v6 clothes is checked as what it is.
  if (family === 6) return INTERNAL.check(host, "ipv6");
  return !host.includes(".") || /\.(?:local|localhost|internal|home\.arpa|lan)$/u.test(host);
}
