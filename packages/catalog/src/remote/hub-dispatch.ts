import { lookup as lookUp, type LookupAddress, type LookupOptions } from "node:dns";
import type { Dispatcher, fetch as undiciFetch } from "undici";
import { isInternalAddress, isInternalHost } from "./internal-address.ts";
import { proxyFor, type ProxySettings } from "./proxy-settings.ts";
import { AGENTS_MAX, CONNECT_MS_MAX } from "./hub-limits.ts";

/** How one URL is reached. */
export interface HubRoute {
  readonly fetch: typeof undiciFetch;
  readonly dispatcher: Dispatcher;
  /** Null: directly. */
  readonly proxy: URL | null;
}

/** Kept, with their open connections, by how they connect. */
const agents = new Map<string, Dispatcher>();

/**
 * The way to a URL that `home` (the endpoint), or a redirect of it, names. Where the endpoint is not itself in the network around this
 * machine, a name that resolves to there is not connected to. Behind a proxy names are resolved by the proxy, and are its owner's matter;
 * addresses and local names are refused before (`isInternalHost`). Throws `usage` for a proxy that cannot be used.
 */
export async function routeTo(url: URL, home: URL, proxies: ProxySettings | null | undefined): Promise<HubRoute> {
  // Loaded when a hub is first asked: most commands never do.
  const { Agent, ProxyAgent, fetch } = await import("undici");
  const proxy = proxyFor(url, proxies);
  const connect = { timeout: CONNECT_MS_MAX };
  if (proxy !== null) {
    const dispatcher = kept(
      `proxy ${proxy.href}`,
      () => new ProxyAgent({ uri: proxy.href, proxyTls: connect, requestTls: connect }),
    );
    return { fetch, proxy, dispatcher };
  }
  // What a person has configured is asked wherever it is.
  const isTrusted = url.host === home.host || isInternalHost(home.hostname);
  const key = isTrusted ? "direct" : `guarded ${home.hostname}`;
  const options = isTrusted ? { connect } : { connect: { ...connect, lookup: guardedLookup(home.hostname) } };
  return { fetch, proxy, dispatcher: kept(key, () => new Agent(options)) };
}

function kept(key: string, open: () => Dispatcher): Dispatcher {
  const known = agents.get(key);
  if (known !== undefined) return known;
  const [oldest] = agents.keys();
  // What is under way on it ends by itself.
  if (agents.size >= AGENTS_MAX && oldest !== undefined) agents.delete(oldest);
  const made = open();
  agents.set(key, made);
  return made;
}

type Answer = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

/** `dns.lookup` that gives no address of the network around, unless the endpoint's own name has one: a mirror at home keeps its files beside it. */
export function guardedLookup(homeHost: string, resolve: typeof lookUp = lookUp) {
  const all = (host: string, options: LookupOptions, then: (error: Error | null, found: LookupAddress[]) => void): void =>
    resolve(host, { ...options, all: true }, (error, found) => then(error, found));
  return (host: string, options: LookupOptions, answer: Answer): void => {
    all(host, options, (error, found) => {
      const first = found?.[0];
      if (error !== null || first === undefined) return answer(error ?? new Error(`${host} has no address`), []);
      const give = (): void => (options.all === true ? answer(null, found) : answer(null, first.address, first.family));
      if (!found.some(({ address }) => isInternalAddress(address))) return give();
      all(homeHost, {}, (_, home) => {
        if ((home ?? []).some(({ address }) => isInternalAddress(address))) return give();
        answer(new Error(`${host} is in the network around this machine, where clusterd does not follow`), []);
      });
    });
  };
}
