import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";

/** Names of our own, so that a run cleans up after one that was killed; the process's, so that two runs do not meet. */
const PREFIX = "clt";
const SUBNET = "10.93.17";
const NETNS_FOLDER = "/etc/netns";
/** How much a slowed link holds back before it drops, and how much it lets through at once. */
const RATE_WORDS: readonly string[] = ["burst", "32kb", "latency", "400ms"];

/** The cable between a host and the bridge. */
export interface Link {
  /** The interface at its other end, on this machine: what it receives is what the host sends. */
  readonly device: string;
  /** Bytes that passed it so far, both ways, headers included. */
  readonly bytes: number;
  /** Lets pass so much to the host, and so much of what it sends: `10mbit`; the same where only one is given. */
  limit(to: string, from?: string): void;
  /** Pulls the cable, or puts it back: neither end is told anything. */
  set(state: "up" | "down"): void;
  /** What is sent to the host is lost, what it sends arrives; or all is well again. */
  deafen(on: boolean): void;
}

/** A host of the test: a network namespace with one interface on a bridge, or this machine's loopback where root is missing. */
export interface Host {
  readonly name: string;
  /** Runs a command on this host. */
  wrap(command: string, args: readonly string[]): readonly [string, readonly string[]];
  /** Ports must differ where hosts share a loopback. */
  readonly ownPorts: boolean;
  /** None on a loopback. */
  readonly link?: Link;
}

const ip = (...args: string[]): void => void execFileSync("ip", args, { stdio: "pipe" });
const tc = (...args: string[]): void => void execFileSync("tc", args, { stdio: "pipe" });
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
  const own = `${PREFIX}${process.pid}`;
  const bridge = `${own}br`;
  try {
    removeLeftOver();
    remove(own);
    ip("link", "add", bridge, "type", "bridge");
    ip("link", "set", bridge, "up");
    names.forEach((name, index) => {
      const space = `${own}-${name}`;
      const outer = `${own}v${index}`;
      ip("netns", "add", space);
      ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space);
      ip("link", "set", outer, "master", bridge, "up");
      ip("-n", space, "addr", "add", `${SUBNET}.${index + 1}/24`, "dev", "eth0");
      ip("-n", space, "link", "set", "eth0", "up");
      ip("-n", space, "link", "set", "lo", "up");
    });
  } catch {
    remove(own);
    const hosts = names.map((name) => ({
      name,
      ownPorts: false,
      wrap: (command: string, args: readonly string[]) => [command, args] as const,
    }));
    return { hosts, isolated: false, [Symbol.dispose]: () => undefined };
  }
  const hosts = names.map((name, index) => ({
    name,
    ownPorts: true,
    wrap: (command: string, args: readonly string[]) => ["ip", ["netns", "exec", `${own}-${name}`, command, ...args]] as const,
    link: linkOf(`${own}-${name}`, `${own}v${index}`),
  }));
  return { hosts, isolated: true, [Symbol.dispose]: () => remove(own) };
}

/** `outer`: the end of the cable at the bridge, by which what goes to the host leaves. */
function linkOf(space: string, outer: string): Link {
  return {
    device: outer,
    get bytes() {
      const text = execFileSync("ip", ["-n", space, "-s", "-j", "link", "show", "eth0"], { encoding: "utf8" });
      const [shown] = JSON.parse(text) as { stats64: Record<"rx" | "tx", { bytes: number }> }[];
      return (shown?.stats64.rx.bytes ?? Number.NaN) + (shown?.stats64.tx.bytes ?? Number.NaN);
    },
    limit(to, from = to) {
      tc("qdisc", "replace", "dev", outer, "root", "tbf", "rate", to, ...RATE_WORDS);
      tc("-n", space, "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", from, ...RATE_WORDS);
    },
    set(state) {
      ip("link", "set", outer, state);
    },
    deafen(on) {
      if (on) tc("qdisc", "replace", "dev", outer, "root", "blackhole");
      else tc("qdisc", "del", "dev", outer, "root");
    },
  };
}

/** Of runs that were killed: their process is no more. */
function removeLeftOver(): void {
  const list = execFileSync("ip", ["netns", "list"], { encoding: "utf8" });
  const links = execFileSync("ip", ["-o", "link"], { encoding: "utf8" });
  const owners = [...list.matchAll(/^clt(\d+)-/gm), ...links.matchAll(/ clt(\d+)br:/g)].map(([, pid]) => Number(pid));
  for (const pid of new Set(owners)) if (!runs(pid)) remove(`${PREFIX}${pid}`);
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function remove(own: string): void {
  let list = "";
  quietly(() => (list = execFileSync("ip", ["netns", "list"], { encoding: "utf8" })));
  for (const [, space] of list.matchAll(/^(\S+)/gm)) {
    if (space === undefined || !space.startsWith(`${own}-`)) continue;
    quietly(() => ip("netns", "del", space));
    quietly(() => rmSync(`${NETNS_FOLDER}/${space}`, { recursive: true, force: true }));
  }
  quietly(() => ip("link", "del", `${own}br`));
}
