import type { Connection } from "@libp2p/interface";
import type { NodeId } from "@clusterd/wire";
import type { MeshConfig } from "../mesh-config.ts";

const STRIKES_MAX = 3;
const STRIKERS_MAX = 256;
const LOGGED_MAX = 256;

/** Those who have nothing to look for here: counted, told of once, and in the end not listened to. */
export interface Strangers {
  /** One has broken the rules. */
  strike(peer: NodeId): void;
  /** Whether one has broken them too often. */
  isOut(peer: NodeId): boolean;
  /** Turns away; told of once for each address. */
  turnAway(connection: Connection, message: string): void;
}

export function createStrangers(on: MeshConfig["on"]): Strangers {
  const strikes = new Map<NodeId, number>();
  const logged = new Set<string>();
  return {
    strike(peer) {
      strikes.set(peer, (strikes.get(peer) ?? 0) + 1);
      const [oldest] = strikes.keys();
      if (strikes.size > STRIKERS_MAX && oldest !== undefined) strikes.delete(oldest);
    },
    isOut: (peer) => (strikes.get(peer) ?? 0) >= STRIKES_MAX,
    turnAway(connection, message) {
      connection.close().catch(() => connection.abort(new Error("stranger")));
      const address = connection.remoteAddr.toString();
      const source = address.split("/").slice(0, 3).join("/");
      if (logged.has(source) || logged.size >= LOGGED_MAX) return;
      logged.add(source);
      on({ type: "stranger", address, message });
    },
  };
}
