import { createSocket } from "node:dgram";
import { access } from "node:fs/promises";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { randomUUID } from "node:crypto";
import { mdnsInterfaces } from "@clusterd/mesh";
import type { InterfaceFacts, PortFacts } from "../facts.ts";
import { askSystem, readText } from "./ask-system.ts";

const GROUP = "224.0.0.251";
const MDNS_PORT = 5353;
/** A packet to the own machine comes back at once. */
const ECHO_MS_MAX = 1_000;
const INTERFACES_MAX = 16;
const WIRELESS_NAME = /wi-?fi|wlan|wireless/i;

const PORTS: readonly (Pick<PortFacts, "port" | "use" | "flag"> & { readonly host: string })[] = [
  { port: 2573, use: "the API and the dashboard", flag: "--api-port", host: "127.0.0.1" },
  { port: 2574, use: "the mesh", flag: "--mesh-port", host: "0.0.0.0" },
];

export function gatherPorts(): Promise<readonly PortFacts[]> {
  return Promise.all(PORTS.map(async ({ host, ...port }) => ({ ...port, state: await portState(port.port, host) })));
}

function portState(port: number, host: string): Promise<PortFacts["state"]> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => done(error.code === "EACCES" ? "forbidden" : "taken"));
    server.listen({ port, host, exclusive: true }, () => server.close(() => done("free")));
  });
}

export async function gatherInterfaces(signal: AbortSignal): Promise<readonly InterfaceFacts[]> {
  const names = new Map(
    Object.entries(networkInterfaces()).flatMap(([name, all]) =>
      (all ?? []).map(({ address, internal }) => [address, { name, internal }] as const),
    ),
  );
  const ports =
    process.platform === "darwin" ? await askSystem("/usr/sbin/networksetup", ["-listallhardwareports"], signal) : null;
  const outward = mdnsInterfaces(["0.0.0.0"]).filter((address) => names.get(address)?.internal === false);
  return Promise.all(
    outward.slice(0, INTERFACES_MAX).map(async (address) => {
      const { name } = names.get(address) ?? { name: address };
      const [wireless, speed, multicastTrouble] = await Promise.all([
        isWireless(name, ports),
        process.platform === "linux" ? readText(`/sys/class/net/${name}/speed`) : null,
        echo(address),
      ]);
      const megabits = Number(speed?.trim() ?? Number.NaN);
      return { name, address, wireless, megabitsPerSecond: megabits > 0 ? megabits : null, multicastTrouble };
    }),
  );
}

/** Devices that `networksetup -listallhardwareports` says are Wi-Fi. */
export function wirelessPorts(text: string): readonly string[] {
  return [...text.matchAll(/Hardware Port: (?:Wi-Fi|AirPort)\s*\nDevice: (\S+)/g)].map(([, device = ""]) => device);
}

async function isWireless(name: string, ports: string | null): Promise<boolean | null> {
  if (process.platform === "darwin") return ports === null ? null : wirelessPorts(ports).includes(name);
  if (process.platform !== "linux") return WIRELESS_NAME.test(name) ? true : null;
  const here = (file: string): Promise<boolean> =>
    access(`/sys/class/net/${name}/${file}`).then(
      () => true,
      () => false,
    );
  return (await here("wireless")) || here("phy80211");
}

/** Sends a packet to mDNS's group out of an interface, and waits for it: null, it came. */
function echo(address: string): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const receiver = createSocket({ type: "udp4", reuseAddr: true });
  const sender = createSocket({ type: "udp4", reuseAddr: true });
  // Not a DNS packet: whoever else listens there passes it over.
  const word = `clusterd doctor ${randomUUID()}`;
  const failed = (error: NodeJS.ErrnoException): void => resolve(`${error.code ?? error.message} (${error.syscall ?? "socket"})`);
  receiver.on("error", failed);
  sender.on("error", failed);
  receiver.on("message", (packet) => {
    if (packet.toString("latin1") === word) resolve(null);
  });
  receiver.bind(MDNS_PORT, () => {
    try {
      receiver.addMembership(GROUP, address);
      sender.bind(0, address, () => {
        try {
          sender.setMulticastInterface(address);
          sender.setMulticastTTL(1);
          sender.setMulticastLoopback(true);
          sender.send(word, MDNS_PORT, GROUP);
        } catch (error) {
          failed(error as NodeJS.ErrnoException);
        }
      });
    } catch (error) {
      failed(error as NodeJS.ErrnoException);
    }
  });
  const late = setTimeout(() => resolve("a packet to 224.0.0.251 did not come back"), ECHO_MS_MAX);
  return promise.finally(() => {
    clearTimeout(late);
    for (const socket of [receiver, sender]) socket.close();
  });
}
