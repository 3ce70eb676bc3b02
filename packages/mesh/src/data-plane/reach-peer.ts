import { once } from "node:events";
import type { Socket } from "node:net";
import { connect as connectTls, type SecureContext } from "node:tls";
import { ClusterdError } from "@clusterd/wire";
import { fingerprintOfPeer } from "./certificate.ts";
import { ACCEPTED, encodePreamble, TARGET_DOWN } from "./preamble.ts";
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

/** A socket to a peer's offer, its ticket taken. Throws `worker_lost` with the peer's name and what was wrong. */
export async function reachPeer(secureContext: SecureContext, reach: Reach): Promise<Socket> {
  const { address, port, peerName } = reach;
  const signal = AbortSignal.any([reach.signal, AbortSignal.timeout(CONNECT_MS_MAX)]);
  try {
    return await overTls(secureContext, reach, signal);
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
