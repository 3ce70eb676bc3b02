import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { identify } from "@libp2p/identify";
import type { Libp2p } from "@libp2p/interface";
import { tcp } from "@libp2p/tcp";
import { createLibp2p } from "libp2p";
import { CLUSTER_NODES_MAX, ClusterdError } from "@clusterd/wire";
import type { MeshConfig } from "./mesh-config.ts";

const DIAL_MS_MAX = 5_000;
const PARALLEL_DIALS_MAX = 16;

/** A libp2p node with Noise over TCP, found by mDNS. Throws `port_in_use` naming the port. */
export async function createNode(config: MeshConfig): Promise<Libp2p> {
  try {
    return await createLibp2p({
      privateKey: config.identity.privateKey,
      // A stranger learns from `identify` that this is clusterd, and no more.
      nodeInfo: { name: "clusterd", version: "1", userAgent: "clusterd" },
      addresses: { listen: config.listen.map((ip) => `/${ip.includes(":") ? "ip6" : "ip4"}/${ip}/tcp/${config.port}`) },
      transports: [tcp({ inboundSocketInactivityTimeout: 0x7fffffff, outboundSocketInactivityTimeout: 0x7fffffff })],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify() },
      // Every session has its own heartbeat.
      connectionMonitor: { enabled: false },
      connectionManager: {
        maxConnections: CLUSTER_NODES_MAX * 3,
        maxParallelDials: PARALLEL_DIALS_MAX,
        dialTimeout: DIAL_MS_MAX,
        reconnectRetries: 0,
        inboundConnectionThreshold: 50,
      },
    });
  } catch (error) {
    if (
      /EADDRINUSE|address already in use/i.test(String(error instanceof AggregateError ? error.errors : error)) ||
      config.port !== 0
    ) {
      throw new ClusterdError(
        "port_in_use",
        `The mesh port ${config.port} (TCP) cannot be listened on: ${error instanceof Error ? error.message : String(error)}`,
        {
          next: "Stop what uses it, or choose another with --mesh-port P (0 for any).",
          cause: error,
        },
      );
    }
    throw error;
  }
}
