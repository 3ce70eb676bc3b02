import type { Socket } from "node:net";
import type { DataPlane, Mesh } from "@clusterd/mesh";
import { ClusterdError, type ContentId, type NodeId } from "@clusterd/wire";
import type { Store } from "../state/store.ts";
import { memberWeights, type MemberWeights } from "./member-weights.ts";
import type { Pace } from "./send-answer.ts";

const ASK_MS_MAX = 5_000;

export interface ReachWeightsConfig {
  readonly store: Store;
  readonly dataPlane: DataPlane;
  mesh(): Pick<Mesh, "addressOf" | "request">;
  nameOf(node: NodeId): string;
  /** How fast blocks are asked for, of all members together. */
  readonly pace: Pick<Pace, "take">;
}

/** A member's weights of a model, its connections opened as they are needed; null where the member cannot be reached. */
export function reachWeights(config: ReachWeightsConfig, node: NodeId, contentId: ContentId): MemberWeights | null {
  const { store, dataPlane, mesh, nameOf } = config;
  if (store.state.others.get(node)?.state !== "alive") return null;
  const peerName = nameOf(node);
  let ticket: Promise<Uint8Array | null> | null = null;
  const connect = async (signal: AbortSignal): Promise<Socket> => {
    ticket ??= mesh()
      .request(
        node,
        { type: "weights-ticket", contentId },
        { signal: AbortSignal.any([signal, AbortSignal.timeout(ASK_MS_MAX)]) },
      )
      .then((answer) => answer.ticket);
    const given = await ticket.catch((error: unknown) => {
      ticket = null;
      throw error;
    });
    const address = mesh().addressOf(node);
    const plane = store.state.others.get(node)?.advert.dataPlane;
    if (given === null) throw new ClusterdError("not_found", `${peerName} has nothing of this model.`);
    if (address === null || plane === undefined) throw new ClusterdError("shards_unreachable", `${peerName} is not connected.`);
    return dataPlane.connect({ address, port: plane.port, fingerprint: plane.fingerprint, ticket: given, peerName, signal });
  };
  return memberWeights(peerName, connect, { pace: config.pace });
}
