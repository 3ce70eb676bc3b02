import type { Connection, Stream } from "@libp2p/interface";
import { asNodeId, cleanName, ClusterdError, NAME_LENGTH_MAX, type NodeId } from "@clusterd/wire";
import { openChannel, type Channel } from "../channel.ts";
import { ipOf } from "../connection-address.ts";
import { parseCredentials, withMember } from "../credentials.ts";
import type { DialBook } from "../dial-book.ts";
import { handshakeAsDialer, handshakeAsListener, type Outcome, type OwnSide } from "../handshake.ts";
import type { MeshConfig } from "../mesh-config.ts";
import { openSession } from "../session.ts";
import type { LiveSessions } from "../sessions/live-sessions.ts";
import type { WaitingRoom } from "../waiting-room.ts";
import type { FoundingClock } from "./founding.ts";
import type { Membership } from "./membership.ts";
import type { Strangers } from "./strangers.ts";

export const SESSION_PROTOCOL = "/clusterd/session/1";
const OPEN_STREAM_MS_MAX = 5_000;
/** Whoever let the one wait who asked may be gone: so long, then a cluster is founded. */
const REFUSED_WAIT_MS = 10_000;

export interface MeetingsConfig {
  /** As it is at each moment. */
  readonly ownSide: OwnSide;
  readonly membership: Membership;
  readonly sessions: LiveSessions;
  readonly book: DialBook;
  readonly clock: FoundingClock;
  readonly room: WaitingRoom;
  readonly strangers: Strangers;
  readonly on: MeshConfig["on"];
  /** One has broken the rules. */
  strike(peer: NodeId): void;
  /** Fires when the mesh ends. */
  readonly signal: AbortSignal;
}

/** Handshakes with whoever is at the other end of a connection, and what follows from them. */
export interface Meetings {
  /** Begins one over a connection that this node has opened, or is to ask on. */
  open(connection: Connection): Promise<void>;
  meet(stream: Stream, connection: Connection, dialled: boolean): Promise<void>;
  /** Whether this node is asking someone to be let in. */
  readonly isAsking: boolean;
}

interface Meeting {
  readonly peer: NodeId;
  readonly connection: Connection;
  readonly channel: Channel;
  readonly dialled: boolean;
}

export function createMeetings(config: MeetingsConfig): Meetings {
  const { ownSide, membership, sessions, book, clock, room, strangers, on } = config;
  const { self } = ownSide;
  /** Whom this node is asking to be let in: one at a time, so that there is one code. */
  let asking: NodeId | null = null;

  async function open(connection: Connection): Promise<void> {
    try {
      const signal = AbortSignal.timeout(OPEN_STREAM_MS_MAX);
      await meet(await connection.newStream(SESSION_PROTOCOL, { signal }), connection, true);
    } catch {
      // Gone again: the next tick dials once more.
    }
  }

  async function meet(stream: Stream, connection: Connection, dialled: boolean): Promise<void> {
    const peer = asNodeId(connection.remotePeer.toString());
    if (strangers.isOut(peer)) {
      stream.abort(new Error("refused"));
      return;
    }
    const channel = openChannel(stream);
    const mayAsk = dialled && membership.standing.kind === "looking" && ownSide.token === null && asking === null;
    if (mayAsk) asking = peer;
    try {
      // As it is now: what this node becomes meanwhile must not mix into a handshake under way.
      const side: OwnSide = { ...ownSide };
      clock.somebodyIsThere(performance.now());
      const outcome = dialled
        ? await handshakeAsDialer(channel, side, peer, mayAsk)
        : await handshakeAsListener(channel, side, peer);
      await follow(outcome, { peer, connection, channel, dialled });
    } catch (error) {
      if (error instanceof ClusterdError && error.code === "invalid_request") config.strike(peer);
    } finally {
      if (mayAsk) asking = null;
      channel.close();
    }
  }

  async function follow(outcome: Outcome, meeting: Meeting): Promise<void> {
    const { peer, connection } = meeting;
    switch (outcome.kind) {
      case "member":
        return withAMember(outcome, meeting);
      case "undecided":
        // Of two that both look, the one with the smaller id founds and the other asks it.
        if (membership.credentials === null && ownSide.token === null && self < peer) await membership.found();
        book.soon(peer);
        clock.onceMore(performance.now());
        return;
      case "may-ask":
        if (membership.credentials === null && asking === null) await open(connection);
        return;
      case "pending":
        return awaitApproval(outcome.code, meeting);
      case "asks":
        return letWait(outcome, meeting);
      case "refused":
        return refused(outcome, meeting);
      case "stranger":
        book.stranger(peer, performance.now());
        strangers.turnAway(connection, "a node of another cluster, or without the secret, was turned away");
        return;
      default:
        outcome satisfies never;
    }
  }

  async function withAMember({ facts }: Extract<Outcome, { kind: "member" }>, meeting: Meeting): Promise<void> {
    const { peer, connection, channel } = meeting;
    book.learn(peer, facts.addresses);
    for (const other of facts.peers) if (other.node !== self) book.learn(other.node, other.addresses);
    if (facts.credentials !== null) await membership.adopt(facts.credentials, peer);
    const { credentials } = membership;
    if (credentials !== null && !credentials.members.includes(peer)) await membership.adopt(withMember(credentials, peer), peer);
    if (membership.credentials?.removed.includes(peer) === false) await sessions.live(openSession(peer, connection, channel));
  }

  async function awaitApproval(code: string, { peer, connection, channel }: Meeting): Promise<void> {
    if (membership.standing.kind !== "looking") return;
    membership.stand({ kind: "pending", code, member: peer }, null);
    try {
      const answer = (await channel.receive()) as { approved?: unknown };
      await membership.adopt(parseCredentials(answer.approved), peer);
      void open(connection);
    } finally {
      if (membership.credentials === null && !config.signal.aborted) {
        clock.start(performance.now(), REFUSED_WAIT_MS);
        membership.stand({ kind: "looking" }, null);
      }
    }
  }

  async function letWait(asked: Extract<Outcome, { kind: "asks" }>, { peer, connection, channel }: Meeting): Promise<void> {
    const { credentials } = membership;
    const entry = {
      code: asked.code,
      node: peer,
      name: cleanName(asked.name, NAME_LENGTH_MAX),
      address: ipOf(connection),
      version: cleanName(asked.version, NAME_LENGTH_MAX),
      askedNode: self,
    };
    if (credentials?.open === true) {
      channel.send({ approved: withMember(credentials, peer) });
      await membership.adopt(withMember(credentials, peer), peer);
    } else if (!room.enter(entry, channel)) return;
    await channel.closed;
  }

  async function refused({ why, message }: Extract<Outcome, { kind: "refused" }>, { peer, dialled }: Meeting): Promise<void> {
    // Whom this node turns away is no news to its own user, but a wrong engine is; nor is another who looks as well.
    if (why === "not-member") return;
    if (why === "protocol" || (dialled && membership.credentials === null)) on({ type: "refused", why, message });
    else if (why === "removed" && dialled) await membership.forget("removed", message);
    book.stranger(peer, performance.now());
  }

  return {
    open,
    meet,
    get isAsking() {
      return asking !== null;
    },
  };
}
