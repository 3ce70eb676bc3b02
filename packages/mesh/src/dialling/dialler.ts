import type { Connection, Libp2p } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { multiaddr } from "@multiformats/multiaddr";
import { asNodeId, type NodeId } from "@clusterd/wire";
import type { DialBook } from "../dial-book.ts";
import type { Membership } from "../membership/membership.ts";

const DIAL_MS_MAX = 5_000;

export interface DiallerConfig {
  readonly self: NodeId;
  readonly node: Pick<Libp2p, "dial" | "getConnections">;
  readonly book: DialBook;
  readonly membership: Membership;
  /** Multiaddrs that were named at the start. */
  readonly named: readonly string[];
  /** Whether there is a session with a node already. */
  isLive(peer: NodeId): boolean;
  onConnection(connection: Connection): Promise<void>;
  /** Fires when the mesh ends. */
  readonly signal: AbortSignal;
}

/** Reaches nodes that are known, no more often than the book allows. */
export interface Dialler {
  reach(peer: NodeId): void;
  reachMembers(): void;
  /** Those that were named at the start. */
  reachNamed(): void;
}

export function createDialler(config: DiallerConfig): Dialler {
  const { self, node, book, membership, isLive } = config;

  async function dial(target: Parameters<typeof node.dial>[0]): Promise<void> {
    try {
      await config.onConnection(await node.dial(target, { signal: AbortSignal.timeout(DIAL_MS_MAX) }));
    } catch {
      // Not there now: tried again later.
    }
  }

  function isConnected(address: string, named: string | undefined): boolean {
    if (named !== undefined) return isLive(asNodeId(named));
    return node
      .getConnections()
      .some(({ remotePeer, remoteAddr }) => isLive(asNodeId(remotePeer.toString())) && remoteAddr.toString().startsWith(address));
  }

  const dialler: Dialler = {
    reach(peer) {
      if (config.signal.aborted || peer === self || isLive(peer) || !book.tryNow(peer, performance.now())) return;
      const { credentials, standing } = membership;
      if (credentials === null ? standing.kind === "pending" : credentials.removed.includes(peer)) return;
      const id = `/p2p/${peer}`;
      const addresses = book.addressesOf(peer).map((address) => multiaddr(address.includes("/p2p/") ? address : address + id));
      void dial(addresses.length > 0 ? addresses : peerIdFromString(peer));
    },
    reachMembers() {
      for (const member of membership.credentials?.members ?? []) if (book.addressesOf(member).length > 0) dialler.reach(member);
    },
    reachNamed() {
      for (const address of config.named) {
        const [, named] = /\/p2p\/([^/]+)/.exec(address) ?? [];
        if (isConnected(address, named) || membership.standing.kind === "pending") continue;
        if (book.tryNow(asNodeId(named ?? address), performance.now())) void dial(multiaddr(address));
      }
    },
  };
  return dialler;
}
