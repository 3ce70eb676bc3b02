import type { Connection } from "@libp2p/interface";
import {
  CLUSTER_NODES_MAX,
  ClusterdError,
  count,
  list,
  oneOf,
  parseAdvert,
  record,
  text,
  type Advert,
  type NodeId,
} from "@clusterd/wire";
import type { Channel } from "./channel.ts";
import { parseCredentials, type ClusterCredentials } from "./credentials.ts";

/** Where a member can be reached. */
export interface PeerAddresses {
  readonly node: NodeId;
  readonly addresses: readonly string[];
}

/** A stream between two members: adverts, heartbeats and news of the cluster. */
export interface Session {
  readonly peer: NodeId;
  readonly connection: Connection;
  readonly channel: Channel;
  sendAdvert(advert: Advert): void;
  beat(advert: Advert | null): void;
  sendCredentials(credentials: ClusterCredentials): void;
  /** Tells where other members can be reached. */
  sendPeers(peers: readonly PeerAddresses[]): void;
  sayRemoved(): void;
  sayGoodbye(): void;
}

export interface SessionEvents {
  heard(): void;
  advert(advert: Advert): void;
  /** Whether an advert of this order is newer than what is known. */
  isNews(incarnation: number, sequence: number): boolean;
  wanted(): void;
  credentials(credentials: ClusterCredentials): void;
  peers(peers: readonly PeerAddresses[]): void;
  removed(): void;
  goodbye(): void;
  rtt(ms: number): void;
}

const kind = record({ type: oneOf("advert", "beat", "pong", "want", "credentials", "peers", "removed", "bye") });
const peers = list(record({ node: text<NodeId>(128), addresses: list(text(256), 16) }), CLUSTER_NODES_MAX);
const beat = record({ incarnation: count(), sequence: count(), ping: count() });

export function openSession(peer: NodeId, connection: Connection, channel: Channel): Session {
  /** A send to a peer that has just gone fails: its end is seen by the reader. */
  const send = (message: unknown): void => {
    if (channel.isOpen) channel.send(message);
  };
  return {
    peer,
    connection,
    channel,
    sendAdvert: (advert) => send({ type: "advert", advert }),
    beat: (advert) =>
      send({
        type: "beat",
        incarnation: advert?.incarnation ?? 0,
        sequence: advert?.sequence ?? 0,
        ping: Math.round(performance.now() * 1000),
      }),
    sendCredentials: (credentials) => send({ type: "credentials", credentials }),
    sendPeers: (known) => send({ type: "peers", peers: known }),
    sayRemoved: () => send({ type: "removed" }),
    sayGoodbye: () => send({ type: "bye" }),
  };
}

/** Reads a session to its end. Rejects where the other side breaks the rules; resolves when the stream ends. */
export async function runSession(session: Session, events: SessionEvents): Promise<void> {
  const { channel, peer } = session;
  for (;;) {
    let message: unknown;
    try {
      message = await channel.receive();
    } catch (error) {
      if (error instanceof ClusterdError && error.code === "invalid_request") throw error;
      return;
    }
    events.heard();
    const { type } = kind(message, "session");
    if (type === "bye") {
      events.goodbye();
      return;
    }
    if (type === "removed") {
      events.removed();
      return;
    }
    if (type === "want") events.wanted();
    if (type === "credentials") events.credentials(parseCredentials((message as { credentials?: unknown }).credentials));
    if (type === "peers") events.peers(peers((message as { peers?: unknown }).peers, "peers"));
    if (type === "advert") {
      const advert = parseAdvert((message as { advert?: unknown }).advert);
      if (advert.node !== peer) throw new ClusterdError("invalid_request", "A node sent an advert in another's name.");
      events.advert(advert);
    }
    if (type === "beat") {
      const { incarnation, sequence, ping } = beat(message, "beat");
      if (channel.isOpen) channel.send({ type: "pong", ping });
      if (events.isNews(incarnation, sequence) && channel.isOpen) channel.send({ type: "want" });
    }
    if (type === "pong") events.rtt(performance.now() - count()((message as { ping?: unknown }).ping, "pong.ping") / 1000);
  }
}
