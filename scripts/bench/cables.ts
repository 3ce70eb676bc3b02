import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Host } from "../../test/cluster/harness/hosts.ts";

/** Before the payload of each packet: Ethernet 14, IP 20, TCP with timestamps 32. */
export const HEADER_BYTES = 66;
const SAMPLE_SECONDS = 0.1;

/** What one host's cable carried so far, as its interface counts: a packet that was not cut yet is one. */
export interface CableCount {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly packets: number;
}

export function readCable({ link }: Host): CableCount {
  const count = (what: string): number =>
    link === undefined ? 0 : Number(readFileSync(`/sys/class/net/${link.device}/statistics/${what}`, "utf8"));
  // The other end's view: what it receives is what the host sends.
  return {
    sentBytes: count("rx_bytes"),
    receivedBytes: count("tx_bytes"),
    packets: count("rx_packets") + count("tx_packets"),
  };
}

/** What the connections of one kind sent, both ways: bytes with TLS, packets as a cable of 1,500 bytes carries them. */
export interface FlowCount {
  bytes: number;
  packets: number;
  resentBytes: number;
}

/** `answers`: from the side that was connected to. */
export type FlowKind = "mesh" | "data plane, answers" | "data plane, asks" | "hub" | "other";

export interface Flows extends AsyncDisposable {
  /** What was sent since the last call, by kind. */
  take(): ReadonlyMap<FlowKind, FlowCount>;
  /** Connections that took part since the last call. */
  readonly connections: number;
}

interface Seen extends FlowCount {
  readonly kind: FlowKind;
}

/**
 * Counts by the kernel's books of all TCP connections between hosts (`ss`), ten times a second: who connects to whom tells what it is
 * for. What a connection sends within a tenth of a second before its end is missed. `meshPort`, `hubPort`: where those are listened for.
 */
export function watchFlows(hosts: readonly Host[], ports: { readonly mesh: number; readonly hub: number }): Flows {
  const books = new Map<string, Seen>();
  let counts = new Map<FlowKind, FlowCount>();
  let touched = new Set<string>();
  const listens = new Map<string, Set<number>>();
  const children = hosts.map((host) => {
    const loop = `while :; do ss -tlnH; ss -tinOH; sleep ${SAMPLE_SECONDS}; done`;
    const [command, words] = host.wrap("sh", ["-c", loop]);
    const child = spawn(command, [...words], { stdio: ["ignore", "pipe", "ignore"] });
    createInterface({ input: child.stdout }).on("line", (line) => note(host.name, line));
    return child;
  });

  function note(host: string, line: string): void {
    const [state, , , local = "", peer = ""] = line.trim().split(/\s+/u);
    const localPort = Number(local.slice(local.lastIndexOf(":") + 1));
    if (state === "LISTEN") {
      const known = listens.get(host) ?? new Set<number>();
      listens.set(host, known.add(localPort));
      return;
    }
    const address = local.slice(0, local.lastIndexOf(":")).replaceAll(/[[\]]|::ffff:/gu, "");
    if (address.startsWith("127.") || address === "::1") return;
    const figure = (name: string): number => Number(new RegExp(`\\b${name}:(\\d+)`, "u").exec(line)?.[1] ?? 0);
    const now = { bytes: figure("bytes_sent"), packets: figure("segs_out"), resentBytes: figure("bytes_retrans") };
    const key = `${local} ${peer}`;
    const known = books.get(key);
    const isNew = known === undefined || now.bytes < known.bytes;
    const kind = known?.kind ?? kindOf(host, localPort, Number(peer.slice(peer.lastIndexOf(":") + 1)));
    const before = isNew ? { bytes: 0, packets: 0, resentBytes: 0 } : known;
    books.set(key, { ...now, kind });
    const sum = counts.get(kind) ?? { bytes: 0, packets: 0, resentBytes: 0 };
    sum.bytes += now.bytes - before.bytes;
    sum.packets += now.packets - before.packets;
    sum.resentBytes += now.resentBytes - before.resentBytes;
    counts.set(kind, sum);
    if (now.bytes > before.bytes) touched.add([local, peer].toSorted().join(" "));
  }

  function kindOf(host: string, localPort: number, peerPort: number): FlowKind {
    if (localPort === ports.hub || peerPort === ports.hub) return "hub";
    if (localPort === ports.mesh || peerPort === ports.mesh) return "mesh";
    return listens.get(host)?.has(localPort) === true ? "data plane, answers" : "data plane, asks";
  }

  return {
    take() {
      const taken = counts;
      counts = new Map();
      touched = new Set();
      return taken;
    },
    get connections() {
      return touched.size;
    },
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGKILL");
    },
  };
}

/** A cable's curve: what crossed it in each tenth of a second. */
export interface CableCurve extends Disposable {
  /** Bytes per second in the whole of it, between its first and its last tenth of a second that carried something worth it. */
  shape(bytesPerSecondMax: number): CurveShape;
}

export interface CurveShape {
  /** Until the first tenth of a second with a tenth of the rate. Seconds. */
  readonly untilBusy: number;
  readonly busySeconds: number;
  /** Between these, in shares of the rate, with all headers. */
  readonly share: number;
  /** Of the busy time, how much was below half of the rate. Seconds. */
  readonly slackSeconds: number;
}

const CURVE_MS = 100;

export function watchCurve(host: Host, direction: "sentBytes"): CableCurve {
  const points: { readonly ms: number; readonly bytes: number }[] = [];
  const look = (): void => void points.push({ ms: performance.now(), bytes: readCable(host)[direction] });
  look();
  const timer = setInterval(look, CURVE_MS);
  return {
    shape(bytesPerSecondMax) {
      const steps = points.slice(1).map((point, index) => {
        const from = points[index] ?? point;
        return { seconds: (point.ms - from.ms) / 1000, bytes: point.bytes - from.bytes };
      });
      const isBusy = ({ seconds, bytes }: { seconds: number; bytes: number }): boolean =>
        bytes > 0.1 * bytesPerSecondMax * seconds;
      const first = steps.findIndex(isBusy);
      const busy = steps.slice(Math.max(0, first), steps.findLastIndex(isBusy) + 1);
      const sum = (some: typeof steps, what: "seconds" | "bytes"): number => some.reduce((total, step) => total + step[what], 0);
      return {
        untilBusy: sum(steps.slice(0, Math.max(0, first)), "seconds"),
        busySeconds: sum(busy, "seconds"),
        share: sum(busy, "bytes") / sum(busy, "seconds") / bytesPerSecondMax,
        slackSeconds: sum(
          busy.filter(({ seconds, bytes }) => bytes < 0.5 * bytesPerSecondMax * seconds),
          "seconds",
        ),
      };
    },
    [Symbol.dispose]() {
      clearInterval(timer);
    },
  };
}
