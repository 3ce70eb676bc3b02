import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { ClusterdError, type NodeId } from "@clusterd/wire";
import {
  ADDRESSES_PER_NODE_MAX,
  MDNS_ANSWERS_PER_SECOND_MAX,
  MDNS_FIRST_QUERIES_MS,
  MDNS_INTERFACES_MAX,
  MDNS_PACKETS_PER_SECOND_MAX,
  MDNS_QUERY_MS,
} from "./limits.ts";
import { dialable, ipOf, nodeOf } from "./addresses.ts";
import { SERVICE, decodePacket, encodeAnswer, encodeQuestion } from "./mdns-packet.ts";
import { RateLimit } from "./rate-limit.ts";

const GROUP = "224.0.0.251";
const PORT = 5353;
const SERVICE_LABEL: string = SERVICE.slice(0, SERVICE.indexOf("."));

/** A node that answered on the network, by its own word: nothing of it is proved. */
export interface Discovery {
  readonly node: NodeId;
  readonly addresses: readonly string[];
  /** The address the answer came from. */
  readonly source: string;
}

export interface MdnsConfig {
  readonly self: NodeId;
  /** IPv4 addresses of the interfaces to use, asked anew before each question. */
  interfaces(): readonly string[];
  /** Multiaddrs with this node's id. */
  addresses(): readonly string[];
  found(discovery: Discovery): void;
  trouble(error: ClusterdError): void;
}

export interface Mdns extends AsyncDisposable {
  /** Asks now rather than at the next turn. */
  ask(): void;
}

/**
 * Finds nodes on every network this machine is on. @libp2p/mdns sends through the default route only: machines with two
 * networks, or with none but the one they share, would not be found; so questions go out of each interface by itself.
 */
export async function startMdns(config: MdnsConfig): Promise<Mdns> {
  const instance = randomBytes(16).toString("hex");
  const receiver = createSocket({ type: "udp4", reuseAddr: true });
  const senders = new Map<string, Socket>();
  const packets = new RateLimit(MDNS_PACKETS_PER_SECOND_MAX);
  const answers = new RateLimit(MDNS_ANSWERS_PER_SECOND_MAX);
  const timers = new Set<NodeJS.Timeout>();
  let stopped = false;

  receiver.on("message", (packet, from) => {
    if (!packet.includes(SERVICE_LABEL) || !packets.take(performance.now())) return;
    const decoded = decodePacket(packet);
    if (decoded?.kind === "question" && answers.take(performance.now())) send(encodeAnswer(instance, config.addresses()));
    if (decoded?.kind === "answer") report(decoded.addresses, from);
  });
  receiver.on("error", (error) => config.trouble(troubled(error)));

  function report(texts: readonly string[], from: RemoteInfo): void {
    const addresses = texts
      .slice(0, 2 * ADDRESSES_PER_NODE_MAX)
      .map(dialable)
      .filter((address) => address !== null);
    const [node] = addresses.map(nodeOf);
    if (node == null || node === config.self || addresses.some((address) => nodeOf(address) !== node)) return;
    // Where the answer came from is the likeliest way back.
    const near = addresses.filter((address) => ipOf(address) === from.address);
    const sorted = [...new Set([...near, ...addresses])].slice(0, ADDRESSES_PER_NODE_MAX);
    config.found({ node, addresses: sorted.map(String), source: from.address });
  }

  function send(packet: Uint8Array): void {
    for (const sender of senders.values()) sender.send(packet, PORT, GROUP, () => undefined);
  }

  function refreshInterfaces(): void {
    const wanted = config.interfaces().slice(0, MDNS_INTERFACES_MAX);
    for (const [ip, sender] of senders) {
      if (wanted.includes(ip)) continue;
      senders.delete(ip);
      sender.close();
    }
    for (const ip of wanted) if (!senders.has(ip)) openInterface(ip);
  }

  function openInterface(ip: string): void {
    const sender = createSocket({ type: "udp4" });
    senders.set(ip, sender);
    const drop = (error: Error): void => {
      if (senders.get(ip) !== sender) return;
      senders.delete(ip);
      sender.close();
      config.trouble(troubled(error));
    };
    sender.on("error", drop);
    sender.bind({ address: ip, port: 0, exclusive: true }, () => {
      try {
        sender.setMulticastInterface(ip);
        sender.setMulticastTTL(255);
        sender.setMulticastLoopback(true);
        sender.unref();
        join(receiver, ip);
        sender.send(encodeQuestion(), PORT, GROUP, () => undefined);
      } catch (error) {
        drop(error as Error);
      }
    });
  }

  function ask(): void {
    if (stopped) return;
    refreshInterfaces();
    send(encodeQuestion());
  }

  receiver.bind({ port: PORT, address: "0.0.0.0", exclusive: false });
  await once(receiver, "listening").catch((error: unknown) => {
    receiver.close();
    throw troubled(error as Error);
  });
  receiver.unref();
  for (const afterMs of MDNS_FIRST_QUERIES_MS) timers.add(setTimeout(ask, afterMs).unref());
  const interval = setInterval(ask, MDNS_QUERY_MS).unref();

  return {
    ask,
    async [Symbol.asyncDispose]() {
      if (stopped) return;
      stopped = true;
      clearInterval(interval);
      for (const timer of timers) clearTimeout(timer);
      const open = [receiver, ...senders.values()];
      senders.clear();
      await Promise.all(open.map(async (socket) => await new Promise<void>((resolve) => socket.close(() => resolve()))));
    },
  };
}

/** Listens on an interface. One that is joined already, or has gone meanwhile, is no trouble. */
function join(receiver: Socket, ip: string): void {
  try {
    receiver.addMembership(GROUP, ip);
  } catch (error) {
    if (!["EADDRINUSE", "ENODEV", "EADDRNOTAVAIL"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

function troubled(error: Error): ClusterdError {
  return new ClusterdError("failed", `Nodes cannot be found by mDNS: ${error.message}.`, {
    next: "Name another node with --peer, or free UDP port 5353.",
    cause: error,
  });
}
