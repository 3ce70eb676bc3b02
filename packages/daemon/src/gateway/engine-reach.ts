import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import type { EngineRequest } from "@clusterd/gateway";
import type { DataPlane, Mesh } from "@clusterd/mesh";
import { ClusterdError, type DeploymentId, type DeploymentView, type ErrorCode, type NodeId } from "@clusterd/wire";
import type { ControlLoop } from "../deployments/control-loop.ts";
import { needsSlot } from "../queue/gate-lines.ts";
import { createGateWaiters } from "../queue/gate-waiters.ts";
import type { HeadQueues } from "../queue/head-queues.ts";
import { passGate } from "../queue/pass-gate.ts";
import { displayNames } from "../state/names.ts";
import type { Store } from "../state/store.ts";
import { allDeployments } from "../state/view.ts";
import { createSpareWays } from "./spare-ways.ts";
import { fetchEngine, type EngineWay } from "./engine-client.ts";

const TICKET_MS_MAX = 5_000;
const TICKETS_MAX = 64;
/** How long opening a way to a head is tried again and again, and the pause between two tries. */
const OPENING_MS_MAX = 4_000;
const OPENING_PAUSE_MS = 100;
/** After an exchange broke: how long the cause may take to be told. */
const CAUSE_WAIT_MS = 1_500;

interface Ticket {
  readonly epoch: number;
  readonly ticket: Uint8Array;
}

/** Reaches the engine of any deployment, once the request has its turn: here by its port, elsewhere through the gate of its head. */
export interface EngineReach {
  fetch(deployment: DeploymentId, request: EngineRequest): Promise<Response>;
  /** Requests at a deployment, as far as this node knows by itself: all where it is the head, else its own. */
  workAt(deployment: DeploymentId): number;
}

export interface EngineReachConfig {
  readonly store: Store;
  readonly loop: Pick<ControlLoop, "engineOf">;
  readonly mesh: Pick<Mesh, "request" | "addressOf">;
  readonly dataPlane: Pick<DataPlane, "connect">;
  readonly queues: HeadQueues;
}

export function createEngineReach({ store, loop, mesh, dataPlane, queues }: EngineReachConfig): EngineReach {
  const tickets = new Map<DeploymentId, Ticket>();
  const waiters = createGateWaiters();
  const spares = createSpareWays();

  function viewOf(deployment: DeploymentId): DeploymentView {
    const found = allDeployments(store.state).find((candidate) => candidate.id === deployment);
    if (found === undefined) throw new ClusterdError("shards_unreachable", "This deployment is gone.");
    return found.view;
  }

  /** To the engine on this node. */
  async function reachHere(deployment: DeploymentId, request: EngineRequest): Promise<EngineWay> {
    const { caller, more = false, signal, onWaiting: onPosition } = request;
    const turn = needsSlot(request.path)
      ? await queues.enter(deployment, { caller, more, signal, ...(onPosition === undefined ? {} : { onPosition }) })
      : null;
    try {
      signal.throwIfAborted();
      const engine = loop.engineOf(deployment);
      if (engine === null) throw new ClusterdError("shards_unreachable", "The engine is not up.");
      const socket = connectTcp({ host: "127.0.0.1", port: engine.port, noDelay: true });
      socket.once("close", () => turn?.[Symbol.dispose]());
      try {
        await once(socket, "connect", { signal });
      } catch (error) {
        socket.destroy();
        throw error;
      }
      return { apiKey: engine.apiKey, socket };
    } catch (error) {
      turn?.[Symbol.dispose]();
      throw error;
    }
  }

  async function ticketOf(deployment: DeploymentId, { head, epoch }: DeploymentView): Promise<Uint8Array> {
    const known = tickets.get(deployment);
    if (known?.epoch === epoch) return known.ticket;
    const signal = AbortSignal.timeout(TICKET_MS_MAX);
    const { ticket } = await mesh.request(head, { type: "engine-ticket", deployment }, { signal });
    tickets.set(deployment, { epoch, ticket });
    const [oldest] = tickets.keys();
    if (tickets.size > TICKETS_MAX && oldest !== undefined) tickets.delete(oldest);
    return ticket;
  }

  /** To an engine elsewhere: through the gate of its head, which knows whose turn it is. */
  async function reachThere(deployment: DeploymentId, view: DeploymentView, request: EngineRequest): Promise<EngineWay> {
    const { caller, path, more = false, signal, onWaiting } = request;
    const waiter = await waiters.begin(deployment, { caller, more, queueLimit: view.queue.limit, signal });
    try {
      const onPosition = (position: number, retryAfterSeconds: number): void => {
        waiter.at(position, retryAfterSeconds);
        onWaiting?.(position);
      };
      const pass = async (socket: Socket): Promise<EngineWay> => ({
        apiKey: await passGate(socket, { caller, path, more, signal, onPosition }),
        socket,
      });
      const key = `${deployment}/${view.epoch}`;
      const spare = spares.take(key);
      const early = spare === null ? null : await pass(spare).catch((error: unknown) => ifAnswer(error, signal));
      const way = early ?? (await pass(await openWay(deployment, view, signal)));
      if (way.socket.destroyed) waiter[Symbol.dispose]();
      else way.socket.once("close", () => waiter[Symbol.dispose]());
      spares.refill(key, (within) => openWay(deployment, view, within));
      return way;
    } catch (error) {
      waiter[Symbol.dispose]();
      throw error;
    }
  }

  /** Nothing has been asked yet: what a busy head closes in its first steps may be tried once more, with another ticket. */
  async function openWay(deployment: DeploymentId, view: DeploymentView, signal: AbortSignal): ReturnType<DataPlane["connect"]> {
    const deadlineMs = performance.now() + OPENING_MS_MAX;
    for (;;) {
      try {
        return await connectTo(view.head, deployment, await ticketOf(deployment, view), signal);
      } catch (error) {
        const isAlive = store.state.others.get(view.head)?.state === "alive";
        if (signal.aborted || isAnswer(error) || !isAlive || performance.now() >= deadlineMs) throw error;
        await new Promise((done) => setTimeout(done, OPENING_PAUSE_MS));
      }
    }
  }

  async function connectTo(
    head: NodeId,
    deployment: DeploymentId,
    ticket: Uint8Array,
    signal: AbortSignal,
  ): ReturnType<DataPlane["connect"]> {
    const address = mesh.addressOf(head);
    const plane = store.state.others.get(head)?.advert.dataPlane;
    const peerName = displayNames(store.state).get(head) ?? head;
    if (address === null || plane === undefined)
      throw new ClusterdError("shards_unreachable", `The head ${peerName} is not connected.`);
    try {
      return await dataPlane.connect({ address, port: plane.port, fingerprint: plane.fingerprint, ticket, peerName, signal });
    } catch (error) {
      // Perhaps the head has restarted meanwhile: ask anew next time.
      tickets.delete(deployment);
      throw error;
    }
  }

  /** The cause of a broken exchange: what the deployment itself says of its failure, once it says something. */
  async function explain(deployment: DeploymentId, epoch: number, error: unknown): Promise<ClusterdError> {
    const deadline = performance.now() + CAUSE_WAIT_MS;
    for (;;) {
      const view = allDeployments(store.state).find((candidate) => candidate.id === deployment)?.view;
      if (view === undefined)
        return new ClusterdError("shards_unreachable", "The deployment was stopped while it answered.", { cause: error });
      if (view.reason !== null && (view.state !== "ready" || view.epoch !== epoch)) return fromReason(view.reason, error);
      if (performance.now() >= deadline)
        return new Unexplained("engine_crashed", `The engine stopped answering: ${textOf(error)}.`, { cause: error });
      await new Promise((done) => setTimeout(done, 25));
    }
  }

  async function attempt(deployment: DeploymentId, request: EngineRequest): Promise<Response> {
    const view = viewOf(deployment);
    const { signal } = request;
    signal.throwIfAborted();
    let way: EngineWay;
    try {
      way = await (view.head === store.state.self ? reachHere(deployment, request) : reachThere(deployment, view, request));
    } catch (error) {
      if (signal.aborted || isAnswer(error)) throw error;
      throw await explain(deployment, view.epoch, error);
    }
    // While it waited the deployment may have been started anew.
    const { epoch } = viewOf(deployment);
    return fetchEngine(way, request, (error) => explain(deployment, epoch, error));
  }

  return {
    workAt: (deployment) => Math.max(queues.workOf(deployment), waiters.openAt(deployment)),
    async fetch(deployment, request) {
      try {
        return await attempt(deployment, request);
      } catch (error) {
        // A connection that broke before anything was answered, between ends that are both well: where processors are short, waits
        // within it run out. It has waited already.
        if (!(error instanceof Unexplained) || request.signal.aborted) throw error;
        return attempt(deployment, { ...request, more: true });
      }
    },
  };
}

/** An exchange that broke although the deployment is well. */
class Unexplained extends ClusterdError {}

function textOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
}

/** Null for a spare way that was closed before it was used. */
function ifAnswer(error: unknown, signal: AbortSignal): null {
  if (signal.aborted || isAnswer(error)) throw error;
  return null;
}

/** Whether the error tells its cause: the queue's word, the gate's, this node's. A way that broke does not know why. */
function isAnswer(error: unknown): boolean {
  return error instanceof ClusterdError && error.code !== "worker_lost";
}

/** `worker_lost: The worker on …` as the error it tells of. */
function fromReason(reason: string, cause: unknown): ClusterdError {
  const [, code, message] = /^([a-z_]+): (.*)$/s.exec(reason) ?? [];
  return code === undefined || message === undefined
    ? new ClusterdError("engine_crashed", reason, { cause })
    : new ClusterdError(code as ErrorCode, message, { cause });
}
