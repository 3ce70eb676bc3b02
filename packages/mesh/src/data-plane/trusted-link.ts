import { BlockList, isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { ClusterdError } from "@clusterd/wire";

/** A link its owner declares private: a range of addresses, or an interface, whose own subnets are looked up whenever one is asked for. */
export type TrustedLink =
  | { readonly kind: "range"; readonly text: string; readonly network: string; readonly prefixBits: number }
  | { readonly kind: "interface"; readonly text: string };

type Interfaces = ReturnType<typeof networkInterfaces>;

const familyOf = (address: string): "ipv4" | "ipv6" => (isIP(address) === 6 ? "ipv6" : "ipv4");
/** fe80::/10: every interface has these addresses, so only together with an interface do they say where a peer is. */
const isLinkLocal = (address: string): boolean => /^fe[89ab]/i.test(address);

/** A link as written on the command line: the name of an interface, or a range like 10.0.0.0/24. Throws `usage`. */
export function parseTrustedLink(text: string, interfaces: Interfaces = networkInterfaces()): TrustedLink {
  if (Object.hasOwn(interfaces, text)) return { kind: "interface", text };
  const wrong = (why: string): ClusterdError =>
    new ClusterdError("usage", `--trust-link takes an interface or a range of addresses; "${text}" ${why}.`, {
      next: `Interfaces here: ${Object.keys(interfaces).join(", ")}. A range is written like 10.0.0.0/24.`,
    });
  const [, network, bits] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  if (network === undefined) throw wrong(isIP(text) === 0 ? "is neither" : "is one address: write how many bits of it count");
  const prefixBits = Number(bits);
  const family = isIP(network);
  if (family === 0 || network.includes("%")) throw wrong("does not begin with an address");
  if (prefixBits > (family === 4 ? 32 : 128)) throw wrong("has more bits than an address");
  if (prefixBits === 0) throw wrong("is every network there is");
  if (isLinkLocal(network)) throw wrong("is on every interface: name the interface instead");
  return { kind: "range", text, network, prefixBits };
}

/** Whether a peer at that address is on one of the links, as this machine's interfaces are now. */
export function isTrusted(
  links: readonly TrustedLink[],
  address: string | undefined,
  interfaces: () => Interfaces = networkInterfaces,
): boolean {
  if (address === undefined || links.length === 0) return false;
  const [bare = "", zone] = address.split("%");
  if (isIP(bare) === 0) return false;
  const ranges = new BlockList();
  for (const link of links) {
    if (link.kind === "range") {
      ranges.addSubnet(link.network, link.prefixBits, familyOf(link.network));
      continue;
    }
    for (const own of interfaces()[link.text] ?? []) {
      const prefixBits = own.cidr?.split("/")[1];
      // The same link-local range lies on every interface: the zone says which one is meant.
      const elsewhere = isLinkLocal(own.address) && zone !== link.text && (!own.scopeid || zone !== String(own.scopeid));
      if (prefixBits !== undefined && !elsewhere) ranges.addSubnet(own.address, Number(prefixBits), familyOf(own.address));
    }
  }
  return ranges.check(bare, familyOf(bare));
}
