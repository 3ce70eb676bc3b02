import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";

/** Names of our own, so that a run cleans up after one that was killed. */
const PREFIX = "clt";
const BRIDGE: string = `${PREFIX}br`;
const SUBNET = "10.93.17";

/** A host of the test: a network namespace with one interface on a bridge, or this machine's loopback where root is missing. */
export interface Host {
  readonly name: string;
  /** Runs a command on this host. */
  wrap(command: string, args: readonly string[]): readonly [string, readonly string[]];
  /** Ports must differ where hosts share a loopback. */
  readonly ownPorts: boolean;
}

const ip = (...args: string[]): void => void execFileSync("ip", args, { stdio: "pipe" });
const quietly = (action: () => void): void => {
  try {
    action();
  } catch {
    // Not there.
  }
};

/** Hosts that share nothing but a bridge: no default route, no name service. Without root: the loopback. */
export function makeHosts(
  names: readonly string[],
): { readonly hosts: readonly Host[]; readonly isolated: boolean } & Disposable {
  try {
    removeAll(names);
    ip("link", "add", BRIDGE, "type", "bridge");
    ip("link", "set", BRIDGE, "up");
    names.forEach((name, index) => {
      const space = `${PREFIX}-${name}`;
      const outer = `${PREFIX}v${index}`;
      ip("netns", "add", space);
      ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space);
      ip("link", "set", outer, "master", BRIDGE, "up");
      ip("-n", space, "addr", "add", `${SUBNET}.${index + 1}/24`, "dev", "eth0");
      ip("-n", space, "link", "set", "eth0", "up");
      ip("-n", space, "link", "set", "lo", "up");
    });
  } catch {
    removeAll(names);
    const hosts = names.map((name) => ({
      name,
      ownPorts: false,
      wrap: (command: string, args: readonly string[]) => [command, args] as const,
    }));
    return { hosts, isolated: false, [Symbol.dispose]: () => undefined };
  }
  const hosts = names.map((name) => ({
    name,
    ownPorts: true,
    wrap: (command: string, args: readonly string[]) => ["ip", ["netns", "exec", `${PREFIX}-${name}`, command, ...args]] as const,
  }));
  return { hosts, isolated: true, [Symbol.dispose]: () => removeAll(names) };
}

function removeAll(names: readonly string[]): void {
  for (const name of names) {
    quietly(() => ip("netns", "del", `${PREFIX}-${name}`));
    quietly(() => rmSync(`/etc/netns/${PREFIX}-${name}`, { recursive: true, force: true }));
  }
  quietly(() => ip("link", "del", BRIDGE));
}
