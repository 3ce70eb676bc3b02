import type { DataPlane, Offer } from "@clusterd/mesh";
import type { ContentId, NodeId } from "@clusterd/wire";
import { WHOLE, type UseBook } from "../keeping/use-book.ts";
import type { LayerFetch } from "./layer-fetch.ts";
import type { Pace } from "./send-answer.ts";
import { serveWeights } from "./serve-weights.ts";

const OFFERS_MAX = 128;
/** Connections of one member to one model. */
const CONNECTIONS_MAX = 8;

export interface WeightOffersConfig {
  readonly dataPlane: DataPlane;
  readonly layers: Pick<LayerFetch, "held">;
  /** How fast it is given away, to all members together; null: as fast as it goes. */
  readonly pace: Pace | null;
  /** What others are reading stays. */
  readonly uses: UseBook;
  /** What a model's bytes must be, for who asks; null: nobody knows. */
  manifestOf(contentId: ContentId): Promise<string | null>;
  fingerprintOf(node: NodeId): string | null;
}

/** The ways by which members read what this node has of models: one for each member and model. */
export interface WeightOffers extends Disposable {
  /** Null where there is nothing of that model here. */
  ticketFor(from: NodeId, contentId: ContentId): Promise<Uint8Array | null>;
}

export function createWeightOffers(config: WeightOffersConfig): WeightOffers {
  const { dataPlane, layers, pace, uses, manifestOf, fingerprintOf } = config;
  const offers = new Map<string, { readonly offer: Offer; readonly fingerprint: string }>();
  const drop = (key: string): void => {
    offers.get(key)?.offer[Symbol.dispose]();
    offers.delete(key);
  };
  return {
    async ticketFor(from, contentId) {
      const fingerprint = fingerprintOf(from);
      if (fingerprint === null || (await layers.held(contentId)) === null) return null;
      const key = `${from}/${contentId}`;
      const known = offers.get(key);
      if (known?.fingerprint === fingerprint) return known.offer.ticket;
      drop(key);
      const [oldest] = offers.keys();
      if (offers.size >= OFFERS_MAX && oldest !== undefined) drop(oldest);
      const offer = dataPlane.offer({
        peerFingerprint: fingerprint,
        kind: "weights",
        label: contentId,
        connectionsMax: CONNECTIONS_MAX,
        async target(socket) {
          using _reading = uses.hold(contentId, WHOLE);
          const model = await layers.held(contentId).catch(() => null);
          if (model === null) socket.destroy();
          else await serveWeights(socket, model, { pace, manifest: () => manifestOf(contentId) });
        },
      });
      offers.set(key, { offer, fingerprint });
      return offer.ticket;
    },
    [Symbol.dispose]() {
      for (const key of [...offers.keys()]) drop(key);
    },
  };
}
