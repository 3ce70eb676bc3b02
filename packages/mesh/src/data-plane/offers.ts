import type { Socket } from "node:net";
import { ClusterdError } from "@clusterd/wire";
import type { Carry } from "./carry.ts";
import { makeTicket } from "./preamble.ts";

export const OFFERS_MAX = 512;

export interface OfferOptions {
  /** Fingerprint of the one peer that may use it. */
  readonly peerFingerprint: string;
  /** Where its tunnels lead: a loopback port of this machine, or this very process. */
  readonly target: { readonly host: "127.0.0.1"; readonly port: number } | ((socket: Socket) => Promise<void>);
  readonly kind: "rpc" | "http" | "link" | "weights";
  readonly label: string;
  /** Tunnels open at once, where that is not the usual number. */
  readonly connectionsMax?: number;
  /** What passes between the target and the peer; without it, bytes as they come. */
  readonly carry?: Carry;
}

/** A way to a loopback port of this machine for one peer; disposing of it cuts its tunnels. */
export interface Offer extends Disposable {
  readonly ticket: Uint8Array;
  readonly openTunnels: number;
}

/** An offer as its own node keeps it. */
export interface HeldOffer extends OfferOptions {
  readonly ticket: Uint8Array;
  readonly sockets: Set<Socket>;
}

/** What this node offers at present. */
export interface Offers {
  add(options: OfferOptions): Offer;
  /** Those for the peer of that fingerprint. */
  of(peerFingerprint: string | null): readonly HeldOffer[];
  has(offer: HeldOffer): boolean;
  clear(): void;
}

export function createOffers(): Offers {
  const offers = new Set<HeldOffer>();
  return {
    add(options) {
      if (offers.size >= OFFERS_MAX) throw new ClusterdError("failed", `This node offers ${OFFERS_MAX} tunnels already.`);
      const held: HeldOffer = { ...options, ticket: makeTicket(), sockets: new Set() };
      offers.add(held);
      return {
        ticket: held.ticket,
        get openTunnels() {
          return held.sockets.size;
        },
        [Symbol.dispose]() {
          offers.delete(held);
          for (const socket of held.sockets) socket.destroy();
        },
      };
    },
    of: (peerFingerprint) => [...offers].filter((held) => held.peerFingerprint === peerFingerprint),
    has: (offer) => offers.has(offer),
    clear: () => offers.clear(),
  };
}
