import { answerLink, measureLink, type DataPlane, type Mesh, type Offer } from "@clusterd/mesh";
import type { LinkView, NodeId } from "@clusterd/wire";
import { displayNames } from "../state/names.ts";
import type { Store } from "../state/store.ts";
import { createQuietWatch } from "./link-quiet.ts";
import { createLinkSchedule } from "./link-schedule.ts";

const TICK_MS = 500;
const ASK_MS_MAX = 3_000;
const MEASURE_MS_MAX = 20_000;
/** A ticket that nobody comes with within this is withdrawn. */
const CONNECT_MS_MAX = 4_000;
/** More than this in a tick is a fetch, a load or an answer, whatever the members say of themselves: heartbeats go elsewhere. */
const BUSY_BYTES_PER_TICK: number = 256 * 1024;
/** One member is let in no more often than this, whatever it asks for. */
const PEER_INTERVAL_MS = 20_000;

/** Measures the links to the other members, one at a time and only while neither end has anything else to do over them. */
export interface LinkWatch extends Disposable {
  /** Lets a member measure its way to this node, once; null: not now. */
  ticketFor(from: NodeId): Uint8Array | null;
  heartbeat(to: NodeId, rttMs: number): void;
}

export interface LinkWatchOptions {
  readonly store: Store;
  readonly dataPlane: DataPlane;
  mesh(): Pick<Mesh, "members" | "addressOf" | "request">;
}

export function watchLinks({ store, dataPlane, mesh }: LinkWatchOptions): LinkWatch {
  const schedule = createLinkSchedule();
  const quiet = createQuietWatch();
  const closing = new AbortController();
  const granted = new Map<NodeId, number>();
  /** The one measurement under way, be it our own or another member's. */
  let current: { readonly to: NodeId; readonly abort: AbortController } | Offer | null = null;
  let carriedBytes = 0;
  let isCarrying = false;
  /** Whether there was a measurement since the last tick. */
  let hasMeasured = false;

  const isQuiet = (node: NodeId): boolean => !isCarrying && quiet.isQuiet(store.state, node, performance.now());

  /** What is measured adds bytes to a link and takes them from what is there: where that has work to do, it ends at once. */
  function giveWay(): void {
    const { self } = store.state;
    if (current === null) return;
    if (!("to" in current)) {
      if (!isQuiet(self)) current[Symbol.dispose]();
    } else if (!isQuiet(self) || !isQuiet(current.to)) current.abort.abort();
  }

  /** Whether the data plane has carried more since the last tick than goes over it at rest; what is measured does not count. */
  function lookAtTraffic(): void {
    const { sent, received } = dataPlane.traffic;
    isCarrying = !hasMeasured && sent + received - carriedBytes > BUSY_BYTES_PER_TICK;
    carriedBytes = sent + received;
    hasMeasured = current !== null;
  }

  async function measure(to: NodeId, stopped: AbortSignal): Promise<void> {
    const within = (ms: number): AbortSignal => AbortSignal.any([closing.signal, stopped, AbortSignal.timeout(ms)]);
    try {
      const { ticket } = await mesh().request(to, { type: "link-ticket" }, { signal: within(ASK_MS_MAX) });
      const address = mesh().addressOf(to);
      const plane = store.state.others.get(to)?.advert.dataPlane;
      if (ticket === null || address === null || plane === undefined) {
        schedule.busy(to, performance.now());
        return;
      }
      const peerName = displayNames(store.state).get(to) ?? to;
      const signal = within(MEASURE_MS_MAX);
      const socket = await dataPlane.connect({ address, ...plane, ticket, peerName, signal });
      try {
        const link: LinkView = { to, ...(await measureLink(socket, signal)), measuredAt: Date.now() };
        store.dispatch({ type: "link-measured", link });
        schedule.measured(to, performance.now());
      } finally {
        socket.destroy();
      }
    } catch {
      // Gone, or cut off in between: it is tried again, and until then the link is what it was taken for.
      if (stopped.aborted) schedule.busy(to, performance.now());
      else schedule.failed(to, performance.now());
    }
  }

  async function tick(): Promise<void> {
    const nowMs = performance.now();
    quiet.look(store.state, nowMs);
    lookAtTraffic();
    giveWay();
    if (current !== null) return;
    const members = mesh()
      .members()
      .filter((node) => store.state.others.get(node)?.state === "alive");
    const to = schedule.due(members, nowMs);
    if (to === null) return;
    if (!isQuiet(store.state.self) || !isQuiet(to)) {
      schedule.busy(to, nowMs);
      return;
    }
    const abort = new AbortController();
    current = { to, abort };
    hasMeasured = true;
    try {
      await measure(to, abort.signal);
    } finally {
      current = null;
    }
  }

  const timer = setInterval(() => void tick(), TICK_MS);
  return {
    ticketFor(from) {
      const nowMs = performance.now();
      const peerFingerprint = store.state.others.get(from)?.advert.dataPlane.fingerprint;
      const tooSoon = nowMs - (granted.get(from) ?? -Infinity) < PEER_INTERVAL_MS;
      if (current !== null || closing.signal.aborted || tooSoon || peerFingerprint === undefined) return null;
      if (!isQuiet(store.state.self)) return null;
      for (const [node, atMs] of granted) if (nowMs - atMs >= PEER_INTERVAL_MS) granted.delete(node);
      granted.set(from, nowMs);
      const end = (): void => {
        clearTimeout(late);
        if (current === offer) current = null;
        offer[Symbol.dispose]();
      };
      let taken = false;
      const offer = dataPlane.offer({
        peerFingerprint,
        kind: "link",
        label: "link",
        async target(socket) {
          // One ticket is one measurement.
          if (taken) {
            socket.destroy();
            return;
          }
          taken = true;
          clearTimeout(late);
          await answerLink(socket);
          end();
        },
      });
      const late = setTimeout(end, CONNECT_MS_MAX);
      current = offer;
      hasMeasured = true;
      return offer.ticket;
    },
    heartbeat: (to, rttMs) => schedule.heartbeat(to, rttMs, performance.now()),
    [Symbol.dispose]() {
      clearInterval(timer);
      closing.abort();
      if (current !== null && !("to" in current)) current[Symbol.dispose]();
    },
  };
}
