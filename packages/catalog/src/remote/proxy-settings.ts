import { BlockList, isIP } from "node:net";
import { ClusterdError } from "@clusterd/wire";
import { isLoopbackHost } from "./internal-address.ts";

/** The environment's word on proxies, as it stands there. */
export interface ProxySettings {
  readonly http: string | null;
  readonly https: string | null;
  readonly none: string;
}

/** Names or networks in `NO_PROXY`. */
const EXCEPTIONS_MAX = 256;
const VARIABLES = { http: ["http_proxy", "HTTP_PROXY"], https: ["https_proxy", "HTTPS_PROXY"] } as const;
const FOR_ALL = ["all_proxy", "ALL_PROXY"] as const;

/** `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, lower case first, as curl reads them; null where no proxy is named. */
export function proxySettings(env: Readonly<Record<string, string | undefined>>): ProxySettings | null {
  const first = (names: readonly string[]): string | null =>
    names.map((name) => env[name]?.trim()).find((value) => value !== undefined && value !== "") ?? null;
  const http = first([...VARIABLES.http, ...FOR_ALL]);
  const https = first([...VARIABLES.https, ...FOR_ALL]);
  return http === null && https === null ? null : { http, https, none: first(["no_proxy", "NO_PROXY"]) ?? "" };
}

/**
 * The proxy for a URL; null: it is asked directly. This machine is never asked through a proxy, which would have a loopback of its own.
 * Throws `usage` for a proxy that is none, or of a kind that is not spoken.
 */
export function proxyFor(url: URL, settings: ProxySettings | null | undefined): URL | null {
  const given = url.protocol === "https:" ? settings?.https : settings?.http;
  if (settings == null || given == null || isLoopbackHost(url.hostname) || isExcepted(url, settings.none)) return null;
  const variable = url.protocol === "https:" ? "HTTPS_PROXY (or ALL_PROXY)" : "HTTP_PROXY (or ALL_PROXY)";
  // A bare host and port is an HTTP proxy, as for other tools.
  const text = /^[a-z][a-z0-9+.-]*:\/\//iu.test(given) ? given : `http://${given}`;
  const proxy = URL.canParse(text) ? new URL(text) : null;
  const kind = proxy?.protocol.replace(/:$/u, "") ?? "";
  if (kind.startsWith("socks"))
    throw new ClusterdError("usage", `${variable} names a SOCKS proxy (${kind}), which clusterd does not speak.`, {
      next: `Name an HTTP proxy there, or except the hub from it: NO_PROXY=${url.hostname}`,
    });
  if (proxy === null || proxy.hostname === "" || !["http", "https"].includes(kind))
    throw new ClusterdError("usage", `${variable} is not the address of a proxy.`, {
      next: "Set it to http://HOST:PORT, or http://NAME:PASSWORD@HOST:PORT, or unset it.",
    });
  return proxy;
}

/** Whether `NO_PROXY` has a host: by name (and all below it), `*`, address, or network (10.0.0.0/8), each with a port or for all. */
export function isExcepted({ hostname, port, protocol }: URL, none: string): boolean {
  const host = plainHost(hostname);
  const itsPort = port === "" ? (protocol === "https:" ? "443" : "80") : port;
  return none
    .split(/[\s,]+/u)
    .filter((entry) => entry !== "")
    .slice(0, EXCEPTIONS_MAX)
    .some((entry) => {
      if (entry === "*") return true;
      if (entry.includes("/")) return isInNetwork(host, entry);
      // More colons than one are an address of v6, which bears a port only in brackets.
      const { given, wanted } = /^(?<given>\[[^\]]*\]|[^:]*):(?<wanted>\d+)$/u.exec(entry)?.groups ?? { given: entry };
      if (wanted !== undefined && wanted !== itsPort) return false;
      const name = plainHost(given ?? "").replace(/^\*?\./u, "");
      return name !== "" && (host === name || (isIP(host) === 0 && host.endsWith(`.${name}`)));
    });
}

function isInNetwork(host: string, entry: string): boolean {
  const [network = "", bits = ""] = entry.split("/");
  const family = isIP(plainHost(network));
  if (family === 0 || family !== isIP(host) || !/^\d{1,3}$/u.test(bits) || Number(bits) > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const kind = family === 4 ? "ipv4" : "ipv6";
  list.addSubnet(plainHost(network), Number(bits), kind);
  return list.check(host, kind);
}

const plainHost = (host: string): string =>
  host
    .replace(/^\[|\]$/gu, "")
    .replace(/\.$/u, "")
    .toLowerCase();

/** A proxy as messages name it: without who asks it. */
export const shownProxy = (proxy: URL): string => `the proxy ${proxy.host}`;
