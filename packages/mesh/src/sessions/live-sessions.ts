import { isNewer, type Advert, type NodeId } from "@clusterd/wire";
import { addressToDial } from "../connection-address.ts";
import type { ClusterCredentials } from "../credentials.ts";
import type { DialBook } from "../dial-book.ts";
import { changes, departed, heard, judged, type MemberTable } from "../member-table.ts";
import type { MeshConfig } from "../mesh-config.ts";
import { createRttFilter } from "../rtt-filter.ts";
import { runSession, type PeerAddresses, type Session, type SessionEvents } from "../session.ts";

export interface LiveSessionsConfig {
  readonly self: NodeId;
  readonly book: DialBook;
  readonly on: MeshConfig["on"];
  onCredentials(next: ClusterCredentials, by: NodeId): void;
  /** A member says that this node was removed. */
  onRemoved(): void;
  /** A member has broken the rules. */
  onBroken(peer: NodeId): void;
}

/** The members this node speaks with: who they are, whether they are alive, and what is told to all of them. */
export interface LiveSessions {
  has(peer: NodeId): boolean;
  peers(): readonly NodeId[];
  /** The session to ask a member on; null where it is not connected. */
  to(peer: NodeId): Session | null;
  /** All of them, and of two with one member both. */
  all(): readonly Session[];
  /** Where the members can be reached. */
  addresses(): readonly PeerAddresses[];
  /** A session from its first to its last message. */
  live(session: Session): Promise<void>;
  /** What this node says of itself from now on. */
  publish(advert: Advert): void;
  beat(): void;
  /** Says who has not been heard of for too long; `forgivenMs` of that was this node's own sleep. */
  judge(nowMs: number, forgivenMs: number): void;
  forgetMembers(): void;
  /** Goodbye to all, for good. */
  end(): void;
}

const ADDRESSES_TOLD_MAX = 8;

export function createLiveSessions(config: LiveSessionsConfig): LiveSessions {
  const { self, book, on } = config;
  const sessions = new Map<NodeId, readonly Session[]>();
  const adverts = new Map<NodeId, Advert>();
  const rtts = createRttFilter();
  let table: MemberTable = new Map();
  let own: Advert | null = null;
  let ended = false;

  function retable(next: MemberTable): void {
    const changed = changes(table, next);
    table = next;
    for (const { node, state } of changed) on({ type: "node-state", node, state });
  }
  const sign = (peer: NodeId): void => retable(heard(table, peer, performance.now()));
  const whereIs = (node: NodeId): PeerAddresses => ({ node, addresses: book.addressesOf(node).slice(0, ADDRESSES_TOLD_MAX) });

  function begin(session: Session): void {
    const { peer } = session;
    const before = sessions.get(peer) ?? [];
    sessions.set(peer, [...before, session]);
    book.succeeded(peer);
    book.learn(peer, [addressToDial(session.connection)]);
    sign(peer);
    if (before.length === 0) {
      on({ type: "connected", node: peer });
      // Two that join at once learn of each other through whom they joined.
      for (const [other, [first]] of sessions) if (other !== peer) first?.sendPeers([whereIs(peer)]);
    }
    if (own !== null) session.sendAdvert(own);
    session.beat(own);
  }

  function finish(session: Session, leftByWord: boolean): void {
    const { peer } = session;
    session.channel.close();
    const rest = (sessions.get(peer) ?? []).filter((other) => other !== session);
    if (rest.length > 0) sessions.set(peer, rest);
    else sessions.delete(peer);
    if (rest.length > 0 || ended) return;
    on({ type: "disconnected", node: peer });
    book.soon(peer);
    if (leftByWord) retable(departed(table, peer));
  }

  function eventsOf(session: Session, onGoodbye: () => void): SessionEvents {
    const { peer } = session;
    return {
      heard: () => sign(peer),
      advert(advert) {
        const known = adverts.get(peer);
        if (known !== undefined && !isNewer(advert, known)) return;
        adverts.set(peer, advert);
        book.learn(peer, advert.addresses);
        on({ type: "advert", advert });
      },
      isNews(incarnation, sequence) {
        const known = adverts.get(peer);
        return sequence > 0 && (known === undefined || isNewer({ incarnation, sequence }, known));
      },
      wanted: () => own !== null && session.sendAdvert(own),
      credentials: (next) => config.onCredentials(next, peer),
      peers(known) {
        for (const { node, addresses } of known) {
          if (node === self || sessions.has(node)) continue;
          book.learn(node, addresses);
          book.soon(node);
        }
      },
      removed: () => config.onRemoved(),
      goodbye: onGoodbye,
      rtt(ms) {
        const news = rtts.add(peer, ms);
        if (news !== null) on({ type: "link", to: peer, rttMs: news });
      },
    };
  }

  return {
    has: (peer) => sessions.has(peer),
    peers: () => [...sessions.keys()],
    to: (peer) => sessions.get(peer)?.[0] ?? null,
    all: () => [...sessions.values()].flat(),
    addresses: () => [...sessions.keys()].map(whereIs),
    async live(session) {
      let leftByWord = false;
      begin(session);
      try {
        await runSession(
          session,
          eventsOf(session, () => (leftByWord = true)),
        );
      } catch {
        config.onBroken(session.peer);
      } finally {
        finish(session, leftByWord);
      }
    },
    publish(advert) {
      own = advert;
      for (const [first] of sessions.values()) first?.sendAdvert(advert);
    },
    beat() {
      for (const [first] of sessions.values()) first?.beat(own);
    },
    judge: (nowMs, forgivenMs) => retable(judged(table, nowMs, forgivenMs)),
    forgetMembers: () => void (table = new Map()),
    end() {
      ended = true;
      for (const session of [...sessions.values()].flat()) session.sayGoodbye();
    },
  };
}
