import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { carryBytes } from "./carry.ts";
import { fingerprintOfPeer } from "./certificate.ts";
import type { HeldOffer, Offers } from "./offers.ts";
import {
  connectorProof,
  encodeChallenge,
  HELLO_BYTES,
  helloOf,
  listenerProof,
  makeNonce,
  PROOF_BYTES,
  type PlainSession,
} from "./plain-proof.ts";
import { ACCEPTED, PREAMBLE_BYTES, REFUSED, sameTicket, TARGET_DOWN, ticketOf } from "./preamble.ts";
import { readExactly } from "./read-exactly.ts";
import type { Strangers } from "./strangers.ts";

/** A peer that has not shown its ticket within this is dropped. */
export const PREAMBLE_MS_MAX = 5_000;
/** How long a refused peer may take to read its refusal. */
const REFUSAL_MS_MAX = 1_000;
/** Connections over one loopback listener or offer at once: an engine opens one, and a few short ones while it loads. */
export const TUNNEL_CONNECTIONS_MAX = 32;

/** This node, as it takes tunnels. */
export interface Accepting {
  readonly fingerprint: string;
  readonly offers: Offers;
  readonly strangers: Strangers;
  /** A tunnel without encryption with the peer at that address. */
  tellUnencrypted(address: string): void;
}

/** Lets a socket through to its offer's target once its certificate and its ticket fit together. */
export async function acceptTls(socket: TLSSocket, accepting: Accepting): Promise<void> {
  const { offers } = accepting;
  const own = offers.of(fingerprintOfPeer(socket));
  // Not a byte of a stranger is looked at.
  if (own.length === 0) {
    refuse(socket);
    return;
  }
  const ticket = ticketOf(await readExactly(socket, PREAMBLE_BYTES, AbortSignal.timeout(PREAMBLE_MS_MAX)));
  const offer = own.find((held) => ticket !== null && sameTicket(held.ticket, ticket));
  if (offer === undefined || !takesMore(offer, offers)) refuse(socket);
  else await leadToTarget(socket, offer, accepting, (answer) => Buffer.of(answer));
}

/** The same without encryption, for a peer on a trusted link: the ticket is proved, not shown. */
export async function acceptPlain(socket: Socket, accepting: Accepting): Promise<void> {
  const { offers } = accepting;
  const signal = AbortSignal.timeout(PREAMBLE_MS_MAX);
  const hello = helloOf(await readExactly(socket, HELLO_BYTES, signal));
  const known = hello === null ? [] : offers.of(hello.connector);
  if (hello === null || known.length === 0) {
    refuse(socket);
    return;
  }
  const session: PlainSession = { ...hello, listener: accepting.fingerprint, listenerNonce: makeNonce() };
  socket.write(encodeChallenge(session.listenerNonce));
  const proof = await readExactly(socket, PROOF_BYTES, signal);
  const offer = known.find((held) => sameTicket(connectorProof(held.ticket, session), proof));
  if (offer === undefined || !takesMore(offer, offers)) {
    refuse(socket);
    return;
  }
  accepting.tellUnencrypted(socket.remoteAddress ?? "");
  await leadToTarget(socket, offer, accepting, (answer) =>
    Buffer.concat([Buffer.of(answer), listenerProof(offer.ticket, session, answer)]),
  );
}

function takesMore(offer: HeldOffer, offers: Offers): boolean {
  return offers.has(offer) && offer.sockets.size < (offer.connectionsMax ?? TUNNEL_CONNECTIONS_MAX);
}

/** A socket that has shown an offer's ticket, and the offer's target: joined until both are closed. */
async function leadToTarget(
  socket: Socket,
  offer: HeldOffer,
  { strangers }: Accepting,
  encodeAnswer: (answer: number) => Buffer,
): Promise<void> {
  const { remoteAddress, remotePort } = socket;
  // In the offer's books from here on: disposing of it cuts the socket even while its target is being reached.
  offer.sockets.add(socket);
  socket.once("close", () => offer.sockets.delete(socket));
  if (typeof offer.target === "function") {
    strangers.release(remoteAddress, remotePort);
    if (!socket.destroyed) socket.write(encodeAnswer(ACCEPTED));
    await offer.target(socket);
    return;
  }
  const target = connect({ ...offer.target, noDelay: true, allowHalfOpen: true });
  try {
    await once(target, "connect", { signal: AbortSignal.timeout(PREAMBLE_MS_MAX) });
  } catch {
    target.destroy();
    refuse(socket, encodeAnswer(TARGET_DOWN));
    return;
  }
  strangers.release(remoteAddress, remotePort);
  if (!socket.destroyed) socket.write(encodeAnswer(ACCEPTED));
  await (offer.carry ?? carryBytes({ sent: 0, received: 0 }))(target, socket);
}

/** Says no and is gone: a peer that never closes its side must not keep ours open. */
function refuse(socket: Socket, answer: Buffer = Buffer.of(REFUSED)): void {
  // What it sent is thrown away: a socket closed over unread bytes would be reset, and the refusal lost.
  socket.resume();
  socket.end(answer);
  const timer = setTimeout(() => socket.destroy(), REFUSAL_MS_MAX);
  socket.once("end", () => socket.destroy());
  socket.once("close", () => clearTimeout(timer));
}
