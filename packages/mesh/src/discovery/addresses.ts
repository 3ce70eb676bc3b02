import { networkInterfaces } from "node:os";
import { multiaddr, type Multiaddr } from "@multiformats/multiaddr";
import { asNodeId, type NodeId } from "@clusterd/wire";

/** Bridges of container and virtual machine software: nobody outside this machine reaches them. */
const INNER_BRIDGE = /^(docker|virbr|cni|podman|lxcbr|lxdbr)[0-9]+$|^br-[0-9a-f]{12}$/;

const UNSPECIFIED: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** The IP address or host name in a multiaddr, for people and for sockets; empty if there is none. */
export function ipOf(address: Multiaddr): string {
  const [first] = address.getComponents();
  return first?.value ?? "";
}

/** The peer id at the end of a multiaddr. */
export function nodeOf(address: Multiaddr): NodeId | null {
  const id = address.getComponents().findLast((component) => component.name === "p2p")?.value;
  return id === undefined ? null : asNodeId(id);
}

/** A multiaddr that TCP can dial, from text of any origin; null for anything else. */
export function dialable(text: string): Multiaddr | null {
  try {
    const address = multiaddr(text);
    const [host, tcp, ...rest] = address.getComponents();
    const hostOk = host !== undefined && ["ip4", "ip6", "dns4", "dns6", "dns"].includes(host.name) && host.value !== undefined;
    const tcpOk = tcp?.name === "tcp" && Number(tcp.value) > 0;
    return hostOk && tcpOk && rest.length <= 1 && rest.every((one) => one.name === "p2p") ? address : null;
  } catch {
    return null;
  }
}

/** This machine's own IPv4 (and, if `v6` too, IPv6) addresses; loopback only where there is nothing else. */
function interfaceAddresses(v6: boolean): string[] {
  const all = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).map((address) => ({ name, ...address })),
  );
  const wanted = all.filter((one) => one.family === "IPv4" || (v6 && !one.address.startsWith("fe80:")));
  const outward = wanted.filter((one) => !one.internal && !INNER_BRIDGE.test(one.name));
  const routed = outward.filter((one) => !one.address.startsWith("169.254."));
  const best = routed.length > 0 ? routed : outward.length > 0 ? outward : wanted.filter((one) => one.internal);
  return best.map((one) => one.address);
}

/** IPv4 addresses of the interfaces on which to look for others: those listened at, else all that lead outward. */
export function mdnsInterfaces(listen: readonly string[]): string[] {
  if (listen.some((ip) => UNSPECIFIED.has(ip))) return interfaceAddresses(false);
  return listen.filter((ip) => !ip.includes(":"));
}
