import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type SecureContext } from "node:tls";
import { ClusterdError } from "@clusterd/wire";
import { fingerprintOfPeer } from "./certificate.ts";
import {
  CHALLENGE_BYTES,
  challengeOf,
  connectorProof,
  encodeHello,
  listenerProof,
  makeNonce,
  PROOF_BYTES,
} from "./plain-proof.ts";
import { ACCEPTED, encodePreamble, sameTicket, TARGET_DOWN } from "./preamble.ts";
import { readExactly } from "./read-exactly.ts";

/** How long opening a tunnel may take. */
export const CONNECT_MS_MAX = 10_000;

export interface ReachOptions {
  readonly address: string;
  readonly port: number;
  readonly fingerprint: string;
  readonly ticket: Uint8Array;
  readonly peerName: string;
}

export type Reach = ReachOptions & {
  readonly signal: AbortSignal;
  /** A socket that carries another one on has to pass on the end of each direction by itself: it is half-open at times. */
  readonly allowHalfOpen: boolean;
};

/** This node, as it shows itself to peers. */
export interface Reacher {
  readonly fingerprint: string;
  readonly secureContext: SecureContext;
  /** Whether the peer at that address may be reached without encryption, where it says so as well. */
  trusts(address: string): boolean;
}

/** A socket to a peer's offer, its ticket taken. Throws `worker_lost` with the peer's name and what was wrong. */
export async function reachPeer(own: Reacher, reach: Reach): Promise<Socket> {
  const { address, port, peerName } = reach;
  const signal = AbortSignal.any([reach.signal, AbortSignal.timeout(CONNECT_MS_MAX)]);
  try {
    const plain = own.trusts(address) ? await overPlain(own.fingerprint, reach, signal) : null;
    return plain ?? (await overTls(own.secureContext, reach, signal));
  } catch (error) {
    const late = signal.aborted && !reach.signal.aborted ? "it took too long" : null;
    const why = reach.signal.aborted ? "it was stopped" : (late ?? (error instanceof Error ? error.message : String(error)));
    throw new ClusterdError("worker_lost", `${peerName} cannot be reached at ${address}:${port}: ${why}`, { cause: error });
  }
}

async function overTls(secureContext: SecureContext, reach: Reach, signal: AbortSignal): Promise<Socket> {
  const how = {
    secureContext,
    rejectUnauthorized: false,
    allowHalfOpen: reach.allowHalfOpen,
    host: reach.address,
    port: reach.port,
    checkServerIdentity: () => undefined,
  };
  const socket = connectTls(how).setNoDelay(true);
  return whileOpening(socket, signal, async () => {
    await once(socket, "secureConnect");
    if (fingerprintOfPeer(socket) !== reach.fingerprint) throw new Error("another certificate answers there");
    socket.write(encodePreamble(reach.ticket));
    const [answer] = await readExactly(socket, 1, signal);
    checkAnswer(answer);
    return socket;
  });
}

/** Null where the other end does not take plain tunnels from here. */
async function overPlain(connector: string, reach: Reach, signal: AbortSignal): Promise<Socket | null> {
  const { address: host, port, allowHalfOpen, ticket } = reach;
  const socket = connectTcp({ host, port, allowHalfOpen, noDelay: true });
  return whileOpening(socket, signal, async () => {
    await once(socket, "connect");
    const hello = { connector, connectorNonce: makeNonce() };
    socket.write(encodeHello(hello));
    const listenerNonce = await readExactly(socket, CHALLENGE_BYTES, signal).then(challengeOf, () => null);
    if (listenerNonce === null) {
      socket.destroy();
      return null;
    }
    const session = { ...hello, listener: reach.fingerprint, listenerNonce };
    socket.write(connectorProof(ticket, session));
    const [answer = 0] = await readExactly(socket, 1, signal);
    // A refusal has nothing to prove; whoever says yes must know the ticket as well.
    if (answer === ACCEPTED || answer === TARGET_DOWN) {
      const proof = await readExactly(socket, PROOF_BYTES, signal);
      if (!sameTicket(listenerProof(ticket, session, answer), proof)) throw new Error("another node answers there");
    }
    checkAnswer(answer);
    return socket;
  });
}

function checkAnswer(answer: number | undefined): void {
  if (answer === TARGET_DOWN) throw new Error("its engine does not answer");
  if (answer !== ACCEPTED) throw new Error("it does not take this ticket");
}

/** Takes a new socket through its first steps; where they fail or are stopped, it is gone. */
async function whileOpening<Result>(socket: Socket, signal: AbortSignal, steps: () => Promise<Result>): Promise<Result> {
  // Whoever uses the socket adds its own; an error that falls between must not end the daemon.
  socket.on("error", () => socket.destroy());
  const abort = (): void => void socket.destroy(new Error("it was stopped"));
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await steps();
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
