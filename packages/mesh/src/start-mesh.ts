import { peerIdFromString } from "@libp2p/peer-id";
import { asClusterdError, asNodeId, ClusterdError, type Advert, type NodeId } from "@clusterd/wire";
import { ipOf } from "./connection-address.ts";
import { askMember, serveControl } from "./control-channel.ts";
import { parseToken, rotated, withMember } from "./credentials.ts";
import { createDialBook } from "./dial-book.ts";
import { createDialler } from "./dialling/dialler.ts";
import { mdnsInterfaces } from "./discovery/addresses.ts";
import { startMdns } from "./discovery/mdns.ts";
import type { OwnSide } from "./handshake.ts";
import { createNode } from "./libp2p-node.ts";
import { HEARTBEAT_MS } from "./member-table.ts";
import { createFoundingClock } from "./membership/founding.ts";
import { createMeetings, SESSION_PROTOCOL } from "./membership/meetings.ts";
import { createMembership } from "./membership/membership.ts";
import { createStrangers } from "./membership/strangers.ts";
import type { Mesh, MeshConfig } from "./mesh-config.ts";
import { createLiveSessions } from "./sessions/live-sessions.ts";
import { createWaitingRoom } from "./waiting-room.ts";

const TICK_MS = 500;
/** A connection that has led to nothing by then is closed. */
const STRANGER_MS_MAX = 10_000;
/** The longer sleep of a timer that was itself held up is nobody else's silence. */
const STALL_MS_MIN = 500;
const ADDRESSES_MAX = 16;
/** For a goodbye to leave. */
const GOODBYE_MS = 30;

/** Starts this node's part of the mesh: finds a cluster, founds one, or asks to be let in, and keeps in touch with its members. */
export async function startMesh(config: MeshConfig): Promise<Mesh> {
  const { on } = config;
  const self = config.identity.id;
  const token = config.token === null || config.credentials !== null ? null : parseToken(config.token);
  const ending = new AbortController();
  let own: Advert | null = null;

  const node = await createNode(config);
  const listening = (): readonly string[] => node.getMultiaddrs().map(String);
  const book = createDialBook();
  const clock = createFoundingClock();
  const strangers = createStrangers(on);
  const room = createWaitingRoom((entries) => on({ type: "pending", pending: entries }));

  const sessions = createLiveSessions({
    self,
    book,
    on,
    onCredentials: (next, by) => void membership.adopt(next, by),
    onRemoved: () => void membership.forget("removed", "This node was removed from the cluster."),
    onBroken: strike,
  });
  const membership = createMembership({
    ...config,
    self,
    // Whoever was a stranger until now is to be reached at once.
    onMember: (member) => book.soon(member),
    onNews(credentials, by) {
      for (const session of sessions.all()) {
        if (credentials.removed.includes(session.peer)) drop(session.peer);
        // Not back to where they came from.
        else if (session.peer !== by) session.sendCredentials(credentials);
      }
    },
    onForgotten() {
      for (const peer of sessions.peers()) drop(peer);
      sessions.forgetMembers();
    },
  });
  const ownSide: OwnSide = {
    self,
    name: config.name,
    version: config.version,
    rpcProtocol: config.rpcProtocol,
    get credentials() {
      return membership.credentials;
    },
    get token() {
      return membership.credentials === null ? token : null;
    },
    clusterName: config.clusterName,
    facts: () => ({
      version: config.version,
      rpcProtocol: config.rpcProtocol,
      addresses: listening().slice(0, ADDRESSES_MAX),
      peers: sessions.addresses(),
    }),
  };
  const meetings = createMeetings({
    ownSide,
    membership,
    sessions,
    book,
    clock,
    room,
    strangers,
    on,
    strike,
    signal: ending.signal,
  });
  const dialler = createDialler({
    self,
    node,
    book,
    membership,
    named: config.peers,
    isLive: (peer) => sessions.has(peer),
    onConnection: (connection) => meetings.open(connection),
    signal: ending.signal,
  });

  function drop(peer: NodeId): void {
    for (const session of sessions.all()) if (session.peer === peer) session.channel.close();
    for (const connection of node.getConnections(peerIdFromString(peer)))
      connection.close().catch(() => connection.abort(new Error("dropped")));
  }
  function strike(peer: NodeId): void {
    strangers.strike(peer);
    drop(peer);
  }

  await node.handle(SESSION_PROTOCOL, (stream, connection) => meetings.meet(stream, connection, false), {
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
          if (!sessions.has(peer) && membership.credentials === null) clock.somebodyIsThere(performance.now());
          book.learn(peer, addresses);
          dialler.reach(peer);
        },
        trouble: (error) => on({ type: "trouble", message: error.message }),
      }).catch((error: unknown) => {
        // Without mDNS a node still serves those who name it, and those it names.
        on({ type: "trouble", message: asClusterdError(error).message });
        return null;
      })
    : null;
  node.addEventListener("connection:open", ({ detail: connection }) => {
    setTimeout(() => {
      const peer = asNodeId(connection.remotePeer.toString());
      const { standing } = membership;
      const waits =
        room.entries.some((entry) => entry.node === peer) || (standing.kind === "pending" && standing.member === peer);
      if (connection.status === "open" && !sessions.has(peer) && !waits)
        strangers.turnAway(connection, "a connection that proved nothing was closed");
    }, STRANGER_MS_MAX).unref();
  });
  if (membership.credentials !== null) on({ type: "standing", standing: membership.standing, by: null });

  clock.start(performance.now());
  let tickedMs = performance.now();
  const tick = setInterval(() => {
    const nowMs = performance.now();
    const stalledMs = nowMs - tickedMs - TICK_MS;
    tickedMs = nowMs;
    sessions.judge(nowMs, stalledMs > STALL_MS_MIN ? stalledMs : 0);
    dialler.reachMembers();
    dialler.reachNamed();
    const isAlone = ownSide.credentials === null && ownSide.token === null && config.peers.length === 0 && !meetings.isAsking;
    if (isAlone && membership.standing.kind === "looking" && clock.isDue(nowMs)) void membership.found();
  }, TICK_MS);
  const heartbeat = setInterval(() => sessions.beat(), HEARTBEAT_MS);
  dialler.reachNamed();

  return {
    self,
    port: Number(/\/tcp\/(\d+)/.exec(listening()[0] ?? "")?.[1] ?? config.port),
    addresses: listening,
    standing: () => membership.standing,
    members: () => sessions.peers(),
    publish(facts) {
      own = {
        ...facts,
        node: self,
        addresses: listening().slice(0, ADDRESSES_MAX),
        incarnation: config.incarnation,
        sequence: (own?.sequence ?? 0) + 1,
      };
      sessions.publish(own);
    },
    async request(to, request, options) {
      const session = sessions.to(to);
      if (session === null) throw new ClusterdError("shards_unreachable", `The node ${to} is not connected.`);
      return askMember(session.connection, request, options.signal);
    },
    pending: () => room.entries,
    async approve(code) {
      const { entry, admit } = room.find(code);
      const next = withMember(membership.mine(), entry.node);
      admit(next);
      await membership.adopt(next, self);
      return entry;
    },
    async remove(peer) {
      for (const session of sessions.all()) if (session.peer === peer) session.sayRemoved();
      await membership.adopt(rotated(membership.mine(), peer), self);
    },
    rotate: () => membership.adopt(rotated(membership.mine(), null), self),
    async leave() {
      for (const session of sessions.all()) session.sayGoodbye();
      await membership.forget(null, "");
    },
    addressOf(peer) {
      const session = sessions.to(peer);
      return session === null ? null : ipOf(session.connection);
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      clearInterval(tick);
      clearInterval(heartbeat);
      sessions.end();
      await new Promise((done) => setTimeout(done, GOODBYE_MS));
      await mdns?.[Symbol.asyncDispose]();
      await node.stop();
    },
  };
}
