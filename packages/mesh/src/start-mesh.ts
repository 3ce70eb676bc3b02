import type { Connection, Stream } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { multiaddr } from "@multiformats/multiaddr";
import {
  asClusterdError,
  asNodeId,
  cleanName,
  ClusterdError,
  isNewer,
  NAME_LENGTH_MAX,
  type Advert,
  type NodeId,
} from "@clusterd/wire";
import { openChannel, type Channel } from "./channel.ts";
import { askMember, serveControl } from "./control-channel.ts";
import {
  foundCluster,
  mergeCredentials,
  parseCredentials,
  parseToken,
  rotated,
  sameCredentials,
  withMember,
  type ClusterCredentials,
} from "./credentials.ts";
import { createDialBook } from "./dial-book.ts";
import { mdnsInterfaces } from "./discovery/addresses.ts";
import { startMdns } from "./discovery/mdns.ts";
import { handshakeAsDialer, handshakeAsListener, type Outcome, type OwnSide } from "./handshake.ts";
import { createNode } from "./libp2p-node.ts";
import { changes, departed, heard, HEARTBEAT_MS, judged, type MemberTable } from "./member-table.ts";
import type { Mesh, MeshConfig, Standing } from "./mesh-config.ts";
import { createRttFilter } from "./rtt-filter.ts";
import { openSession, runSession, type Session } from "./session.ts";
import { createWaitingRoom } from "./waiting-room.ts";

const SESSION_PROTOCOL = "/clusterd/session/1";
/** No cluster has answered for so long: this node founds one. */
export const FOUND_AFTER_MS = 1_500;
/** Somebody was seen meanwhile: what comes of it is awaited, but not longer than this in all. */
const FOUND_AFTER_MS_MAX = 8_000;
const TICK_MS = 500;
/** A connection that has led to nothing by then is closed. */
const STRANGER_MS_MAX = 10_000;
const OPEN_STREAM_MS_MAX = 5_000;
const STRIKES_MAX = 3;
const STRIKERS_MAX = 256;
const STRANGERS_LOGGED_MAX = 256;
/** The longer sleep of a timer that was itself held up is nobody else's silence. */
const STALL_MS_MIN = 500;

/** Starts this node's part of the mesh: finds a cluster, founds one, or asks to be let in, and keeps in touch with its members. */
export async function startMesh(config: MeshConfig): Promise<Mesh> {
  const { identity, on } = config;
  const self = identity.id;
  const token = config.token === null || config.credentials !== null ? null : parseToken(config.token);
  let credentials: ClusterCredentials | null = config.credentials;
  let standing: Standing = credentials === null ? { kind: "looking" } : { kind: "member", cluster: credentials };
  let own: Advert | null = null;
  let table: MemberTable = new Map();
  let closing = false;
  let foundAtMs = Infinity;
  let foundAtMsMax = Infinity;
  /** Whom this node is asking to be let in: one at a time, so that there is one code. */
  let asking: NodeId | null = null;
  const sessions = new Map<NodeId, Session[]>();
  const adverts = new Map<NodeId, Advert>();
  const strikes = new Map<NodeId, number>();
  const loggedStrangers = new Set<string>();
  const book = createDialBook();
  const rtts = createRttFilter();
  const room = createWaitingRoom((entries) => on({ type: "pending", pending: entries }));

  const node = await createNode(config);
  const listening = (): readonly string[] => node.getMultiaddrs().map(String);
  const ownSide: OwnSide = {
    self,
    name: config.name,
    version: config.version,
    rpcProtocol: config.rpcProtocol,
    get credentials() {
      return credentials;
    },
    get token() {
      return credentials === null ? token : null;
    },
    clusterName: config.clusterName,
    facts: () => ({
      version: config.version,
      rpcProtocol: config.rpcProtocol,
      addresses: listening().slice(0, 16),
      peers: [...sessions.keys()].map((peer) => ({ node: peer, addresses: book.addressesOf(peer).slice(0, 8) })),
    }),
  };

  function stand(next: Standing, by: NodeId | null): void {
    standing = next;
    on({ type: "standing", standing, by });
  }

  async function adopt(next: ClusterCredentials, by: NodeId | null): Promise<void> {
    if (next.removed.includes(self)) return forget("removed", "This node was removed from the cluster.");
    const first = credentials === null;
    const merged = credentials === null ? withMember(next, self) : mergeCredentials(credentials, next);
    if (credentials !== null && sameCredentials(credentials, merged)) return;
    // Whoever was a stranger until now is to be reached at once.
    for (const member of merged.members) if (credentials === null || !credentials.members.includes(member)) book.soon(member);
    credentials = merged;
    await config.saveCredentials(merged);
    if (first) stand({ kind: "member", cluster: merged }, by);
    else standing = { kind: "member", cluster: merged };
    for (const list of sessions.values()) {
      for (const session of list) {
        if (merged.removed.includes(session.peer)) drop(session.peer);
        // Not back to where they came from.
        else if (session.peer !== by) session.sendCredentials(merged);
      }
    }
    for (const removed of merged.removed) on({ type: "removed", node: removed });
  }

  async function forget(why: "removed" | null, message: string): Promise<void> {
    credentials = null;
    await config.saveCredentials(null);
    for (const peer of [...sessions.keys()]) drop(peer);
    table = new Map();
    if (why !== null) on({ type: "refused", why, message });
    stand({ kind: "looking" }, null);
  }

  function drop(peer: NodeId): void {
    for (const session of sessions.get(peer) ?? []) session.channel.close();
    for (const connection of node.getConnections(peerIdFromString(peer)))
      connection.close().catch(() => connection.abort(new Error("dropped")));
  }

  function strike(peer: NodeId): void {
    strikes.set(peer, (strikes.get(peer) ?? 0) + 1);
    const [oldest] = strikes.keys();
    if (strikes.size > STRIKERS_MAX && oldest !== undefined) strikes.delete(oldest);
    drop(peer);
  }

  function stranger(connection: Connection, message: string): void {
    const address = connection.remoteAddr.toString();
    const source = address.split("/").slice(0, 3).join("/");
    if (loggedStrangers.has(source) || loggedStrangers.size >= STRANGERS_LOGGED_MAX) return;
    loggedStrangers.add(source);
    on({ type: "stranger", address, message });
  }

  /** Somebody is there: founding a cluster waits for what comes of it. */
  function awaitOutcome(): void {
    foundAtMs = Math.min(foundAtMsMax, Math.max(foundAtMs, performance.now() + FOUND_AFTER_MS));
  }

  /** One handshake over a stream, and what follows from it. */
  async function meet(stream: Stream, connection: Connection, dialled: boolean): Promise<void> {
    const peer = asNodeId(connection.remotePeer.toString());
    if ((strikes.get(peer) ?? 0) >= STRIKES_MAX) {
      stream.abort(new Error("refused"));
      return;
    }
    const channel = openChannel(stream);
    const mayAsk = dialled && standing.kind === "looking" && token === null && asking === null;
    if (mayAsk) asking = peer;
    try {
      // As it is now: what this node becomes meanwhile must not mix into a handshake under way.
      const side: OwnSide = { ...ownSide };
      awaitOutcome();
      const outcome = dialled
        ? await handshakeAsDialer(channel, side, peer, mayAsk)
        : await handshakeAsListener(channel, side, peer);
      await follow(outcome, channel, connection, peer, dialled);
    } catch (error) {
      if (error instanceof ClusterdError && error.code === "invalid_request") strike(peer);
    } finally {
      if (mayAsk) asking = null;
      channel.close();
    }
  }

  async function follow(
    outcome: Outcome,
    channel: Channel,
    connection: Connection,
    peer: NodeId,
    dialled: boolean,
  ): Promise<void> {
    switch (outcome.kind) {
      case "member": {
        book.learn(peer, outcome.facts.addresses);
        for (const other of outcome.facts.peers) if (other.node !== self) book.learn(other.node, other.addresses);
        if (outcome.facts.credentials !== null) await adopt(outcome.facts.credentials, peer);
        if (credentials !== null && !credentials.members.includes(peer)) await adopt(withMember(credentials, peer), peer);
        if (credentials !== null && !credentials.removed.includes(peer)) await live(openSession(peer, connection, channel));
        return;
      }
      case "undecided":
        // Of two that both look, the one with the smaller id founds and the other asks it.
        if (credentials === null && token === null && self < peer) await found();
        book.soon(peer);
        foundAtMs = Math.max(foundAtMs, performance.now() + FOUND_AFTER_MS);
        return;
      case "may-ask":
        if (credentials === null && asking === null) await open(connection);
        return;
      case "pending":
        await awaitApproval(outcome.code, channel, connection, peer);
        return;
      case "asks": {
        const entry = {
          code: outcome.code,
          node: peer,
          name: cleanName(outcome.name, NAME_LENGTH_MAX),
          address: ipOf(connection),
          version: cleanName(outcome.version, NAME_LENGTH_MAX),
          askedNode: self,
        };
        if (credentials?.open === true) {
          channel.send({ approved: withMember(credentials, peer) });
          await adopt(withMember(credentials, peer), peer);
        } else if (!room.enter(entry, channel)) return;
        await channel.closed;
        return;
      }
      case "refused":
        // Whom this node turns away is no news to its own user, but a wrong engine is; nor is another who looks as well.
        if (outcome.why === "not-member") return;
        if (outcome.why === "protocol" || (dialled && credentials === null))
          on({ type: "refused", why: outcome.why, message: outcome.message });
        else if (outcome.why === "removed" && dialled) await forget("removed", outcome.message);
        book.stranger(peer, performance.now());
        return;
      case "stranger":
        book.stranger(peer, performance.now());
        stranger(connection, "a node of another cluster, or without the secret, was turned away");
        connection.close().catch(() => connection.abort(new Error("stranger")));
        return;
      default:
        outcome satisfies never;
    }
  }

  async function awaitApproval(code: string, channel: Channel, connection: Connection, peer: NodeId): Promise<void> {
    if (standing.kind !== "looking") return;
    stand({ kind: "pending", code, member: peer }, null);
    try {
      const answer = (await channel.receive()) as { approved?: unknown };
      await adopt(parseCredentials(answer.approved), peer);
      void open(connection);
    } finally {
      if (credentials === null && !closing) {
        foundAtMs = performance.now() + STRANGER_MS_MAX;
        foundAtMsMax = foundAtMs + FOUND_AFTER_MS_MAX;
        stand({ kind: "looking" }, null);
      }
    }
  }

  async function found(): Promise<void> {
    const name = cleanName(config.clusterName ?? "home", NAME_LENGTH_MAX);
    await adopt(foundCluster(name, config.open, self), null);
  }

  /** A session from its first to its last message. */
  async function live(session: Session): Promise<void> {
    const { peer } = session;
    const list = sessions.get(peer) ?? [];
    sessions.set(peer, [...list, session]);
    book.succeeded(peer);
    book.learn(peer, [connectionAddress(session.connection)]);
    sign(peer);
    if (list.length === 0) {
      on({ type: "connected", node: peer });
      // Two that join at once learn of each other through whom they joined.
      const where = { node: peer, addresses: book.addressesOf(peer).slice(0, 8) };
      for (const others of sessions.values()) if (others[0]?.peer !== peer) others[0]?.sendPeers([where]);
    }
    if (own !== null) session.sendAdvert(own);
    session.beat(own);
    let leftByWord = false;
    try {
      await runSession(session, {
        heard: () => sign(peer),
        advert(advert) {
          const known = adverts.get(peer);
          if (known !== undefined && !isNewer(advert, known)) return;
          adverts.set(peer, advert);
          book.learn(peer, advert.addresses);
          on({ type: "advert", advert });
        },
        isNews: (incarnation, sequence) => {
          const known = adverts.get(peer);
          return sequence > 0 && (known === undefined || isNewer({ incarnation, sequence }, known));
        },
        wanted: () => own !== null && session.sendAdvert(own),
        credentials: (next) => void adopt(next, peer),
        peers(known) {
          for (const other of known) {
            if (other.node === self || sessions.has(other.node)) continue;
            book.learn(other.node, other.addresses);
            book.soon(other.node);
          }
        },
        removed: () => void forget("removed", "This node was removed from the cluster."),
        goodbye: () => (leftByWord = true),
        rtt(ms) {
          const news = rtts.add(peer, ms);
          if (news !== null) on({ type: "link", to: peer, rttMs: news });
        },
      });
    } catch {
      strike(peer);
    } finally {
      session.channel.close();
      const rest = (sessions.get(peer) ?? []).filter((other) => other !== session);
      if (rest.length > 0) sessions.set(peer, rest);
      else sessions.delete(peer);
      if (rest.length === 0 && !closing) {
        on({ type: "disconnected", node: peer });
        book.soon(peer);
        if (leftByWord) retable(departed(table, peer));
      }
    }
  }

  function sign(peer: NodeId): void {
    retable(heard(table, peer, performance.now()));
  }

  function retable(next: MemberTable): void {
    const changed = changes(table, next);
    table = next;
    for (const { node: peer, state } of changed) on({ type: "node-state", node: peer, state });
  }

  async function open(connection: Connection): Promise<void> {
    try {
      await meet(
        await connection.newStream(SESSION_PROTOCOL, { signal: AbortSignal.timeout(OPEN_STREAM_MS_MAX) }),
        connection,
        true,
      );
    } catch {
      // Gone again: the next tick dials once more.
    }
  }

  async function dial(target: Parameters<typeof node.dial>[0]): Promise<void> {
    try {
      const connection = await node.dial(target, { signal: AbortSignal.timeout(OPEN_STREAM_MS_MAX) });
      await open(connection);
    } catch {
      // Not there now: tried again later.
    }
  }

  function reach(peer: NodeId): void {
    if (closing || peer === self || sessions.has(peer) || !book.tryNow(peer, performance.now())) return;
    if (credentials?.removed.includes(peer) === true || (credentials === null && standing.kind === "pending")) return;
    const id = `/p2p/${peer}`;
    const addresses = book.addressesOf(peer).map((address) => multiaddr(address.includes("/p2p/") ? address : address + id));
    void dial(addresses.length > 0 ? addresses : peerIdFromString(peer));
  }

  function reachStatic(): void {
    for (const address of config.peers) {
      const target = multiaddr(address);
      const [, named] = /\/p2p\/([^/]+)/.exec(address) ?? [];
      const key = asNodeId(named ?? address);
      const connected =
        named !== undefined
          ? sessions.has(key)
          : node
              .getConnections()
              .some(
                (connection) =>
                  sessions.has(asNodeId(connection.remotePeer.toString())) &&
                  connection.remoteAddr.toString().startsWith(address),
              );
      if (connected || standing.kind === "pending" || !book.tryNow(key, performance.now())) continue;
      void dial(target);
    }
  }

  await node.handle(SESSION_PROTOCOL, (stream, connection) => meet(stream, connection, false), {
    maxInboundStreams: 8,
    maxOutboundStreams: 8,
  });
  await serveControl(node, (peer) => sessions.has(peer), config.onRequest);
  const mdns = config.mdns
    ? await startMdns({
        self,
        interfaces: () => mdnsInterfaces(config.listen),
        addresses: listening,
        found({ node: peer, addresses }) {
          if (!sessions.has(peer) && credentials === null) awaitOutcome();
          book.learn(peer, addresses);
          reach(peer);
        },
        trouble: (error) => on({ type: "trouble", message: error.message }),
      }).catch((error: unknown) => {
        // Without mDNS a node still serves those who name it, and those it names.
        on({ type: "trouble", message: asClusterdError(error).message });
        return null;
      })
    : null;
  node.addEventListener("connection:open", (event) => {
    const connection = event.detail;
    setTimeout(() => {
      const peer = asNodeId(connection.remotePeer.toString());
      const waits =
        room.entries.some((entry) => entry.node === peer) || (standing.kind === "pending" && standing.member === peer);
      if (connection.status !== "open" || sessions.has(peer) || waits) return;
      stranger(connection, "a connection that proved nothing was closed");
      connection.close().catch(() => connection.abort(new Error("stranger")));
    }, STRANGER_MS_MAX).unref();
  });
  if (credentials !== null) on({ type: "standing", standing, by: null });

  foundAtMs = performance.now() + FOUND_AFTER_MS;
  foundAtMsMax = performance.now() + FOUND_AFTER_MS_MAX;
  let tickedMs = performance.now();
  const tick = setInterval(() => {
    const nowMs = performance.now();
    const stalledMs = nowMs - tickedMs - TICK_MS;
    tickedMs = nowMs;
    retable(judged(table, nowMs, stalledMs > STALL_MS_MIN ? stalledMs : 0));
    for (const member of credentials?.members ?? []) if (book.addressesOf(member).length > 0) reach(member);
    reachStatic();
    const alone =
      credentials === null && token === null && config.peers.length === 0 && standing.kind === "looking" && asking === null;
    if (alone && nowMs >= foundAtMs) void found();
  }, TICK_MS);
  const heartbeat = setInterval(() => {
    for (const list of sessions.values()) list[0]?.beat(own);
  }, HEARTBEAT_MS);
  reachStatic();

  async function change(next: ClusterCredentials): Promise<void> {
    await adopt(next, self);
  }
  function mine(): ClusterCredentials {
    if (credentials === null) throw new ClusterdError("not_admitted", "This node is not in a cluster yet.");
    return credentials;
  }

  return {
    self,
    port: Number(/\/tcp\/(\d+)/.exec(listening()[0] ?? "")?.[1] ?? config.port),
    addresses: listening,
    standing: () => standing,
    members: () => [...sessions.keys()],
    publish(facts) {
      own = {
        ...facts,
        node: self,
        addresses: listening().slice(0, 16),
        incarnation: config.incarnation,
        sequence: (own?.sequence ?? 0) + 1,
      };
      for (const list of sessions.values()) list[0]?.sendAdvert(own);
    },
    async request(to, request, options) {
      const session = sessions.get(to)?.[0];
      if (session === undefined) throw new ClusterdError("shards_unreachable", `The node ${to} is not connected.`);
      return askMember(session.connection, request, options.signal);
    },
    pending: () => room.entries,
    async approve(code) {
      const { entry, admit } = room.find(code);
      const next = withMember(mine(), entry.node);
      admit(next);
      await change(next);
      return entry;
    },
    async remove(peer) {
      for (const session of sessions.get(peer) ?? []) session.sayRemoved();
      await change(rotated(mine(), peer));
    },
    async rotate() {
      await change(rotated(mine(), null));
    },
    async leave() {
      for (const list of sessions.values()) for (const session of list) session.sayGoodbye();
      await forget(null, "");
    },
    addressOf(peer) {
      const session = sessions.get(peer)?.[0];
      return session === undefined ? null : ipOf(session.connection);
    },
    async [Symbol.asyncDispose]() {
      closing = true;
      clearInterval(tick);
      clearInterval(heartbeat);
      for (const list of sessions.values()) for (const session of list) session.sayGoodbye();
      await new Promise((done) => setTimeout(done, 30));
      await mdns?.[Symbol.asyncDispose]();
      await node.stop();
    },
  };
}

function ipOf(connection: Connection): string {
  return connection.remoteAddr.toString().split("/")[2] ?? "";
}

function connectionAddress(connection: Connection): string {
  const [, family, ip] = connection.remoteAddr.toString().split("/");
  const port = connection.direction === "outbound" ? /\/tcp\/(\d+)/.exec(connection.remoteAddr.toString())?.[1] : undefined;
  // The port an inbound connection came from is not one to dial.
  return port === undefined ? `/${family}/${ip}/tcp/2574` : `/${family}/${ip}/tcp/${port}`;
}
