import { connect as connectTcp } from "node:net";
import { once } from "node:events";
import type { EngineRequest } from "@clusterd/gateway";
import type { DataPlane, Mesh } from "@clusterd/mesh";
import { ClusterdError, type DeploymentId, type ErrorCode, type NodeId } from "@clusterd/wire";
import type { ControlLoop } from "../deployments/control-loop.ts";
import type { Store } from "../state/store.ts";
import { allDeployments } from "../state/view.ts";
import { displayNames } from "../state/names.ts";
import { fetchEngine, type EngineAddress } from "./engine-client.ts";

const TICKET_MS_MAX = 5_000;
const TICKETS_MAX = 64;
/** After an exchange broke: how long the cause may take to be told. */
const CAUSE_WAIT_MS = 1_500;

interface Ticket {
  readonly epoch: number;
  readonly ticket: Uint8Array;
  readonly apiKey: string;
}

/** Reaches the engine of any deployment: the one on this node by its port, others through a tunnel to their head. */
export interface EngineReach {
  fetch(deployment: DeploymentId, request: EngineRequest): Promise<Response>;
}

export function createEngineReach(store: Store, loop: ControlLoop, mesh: Mesh, dataPlane: DataPlane): EngineReach {
  const tickets = new Map<DeploymentId, Ticket>();

  function viewOf(deployment: DeploymentId): { head: NodeId; epoch: number; state: string; reason: string | null } {
    const found = allDeployments(store.state).find((candidate) => candidate.id === deployment);
    if (found === undefined) throw new ClusterdError("shards_unreachable", "This deployment is gone.");
    return found.view;
  }

  async function addressOf(deployment: DeploymentId): Promise<EngineAddress> {
    const { head, epoch } = viewOf(deployment);
    if (head === store.state.self) {
      const engine = loop.engineOf(deployment);
      if (engine === null) throw new ClusterdError("shards_unreachable", "The engine is not up.");
      return { apiKey: engine.apiKey, connect: (signal) => connectLocal(engine.port, signal) };
    }
    let known = tickets.get(deployment);
    if (known === undefined || known.epoch !== epoch) {
      const answer = await mesh.request(
        head,
        { type: "engine-ticket", deployment },
        { signal: AbortSignal.timeout(TICKET_MS_MAX) },
      );
      known = { epoch, ...answer };
      tickets.set(deployment, known);
      const [oldest] = tickets.keys();
      if (tickets.size > TICKETS_MAX && oldest !== undefined) tickets.delete(oldest);
    }
    const { ticket, apiKey } = known;
    return {
      apiKey,
      async connect(signal) {
        const address = mesh.addressOf(head);
        const plane = store.state.others.get(head)?.advert.dataPlane;
        const peerName = displayNames(store.state).get(head) ?? head;
        if (address === null || plane === undefined)
          throw new ClusterdError("shards_unreachable", `The head ${peerName} is not connected.`);
        try {
          return await dataPlane.connect({ address, port: plane.port, fingerprint: plane.fingerprint, ticket, peerName, signal });
        } catch (error) {
          // Perhaps the head has restarted its engine meanwhile: ask anew next time.
          tickets.delete(deployment);
          throw error;
        }
      },
    };
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
        return new ClusterdError("engine_crashed", "The engine stopped answering.", { cause: error });
      await new Promise((done) => setTimeout(done, 25));
    }
  }

  return {
    async fetch(deployment, request) {
      const { epoch } = viewOf(deployment);
      const attempt = async (): Promise<Response> =>
        fetchEngine(await addressOf(deployment), request, (error) => explain(deployment, epoch, error));
      return attempt();
    },
  };
}

/** `worker_lost: The worker on …` as the error it tells of. */
function fromReason(reason: string, cause: unknown): ClusterdError {
  const [, code, message] = /^([a-z_]+): (.*)$/s.exec(reason) ?? [];
  return code === undefined || message === undefined
    ? new ClusterdError("engine_crashed", reason, { cause })
    : new ClusterdError(code as ErrorCode, message, { cause });
}

async function connectLocal(port: number, signal: AbortSignal): Promise<ReturnType<typeof connectTcp>> {
  const socket = connectTcp({ host: "127.0.0.1", port, noDelay: true });
  try {
    await once(socket, "connect", { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
