import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { joinSockets } from "@clusterd/mesh";
import { asClusterdError, ClusterdError, type DeploymentId, type NodeId } from "@clusterd/wire";
import { encodeLine, errorAnswer, needsSlot, parseAsk, readLines, watchSilence, type GateAsk } from "./gate-lines.ts";
import type { HeadQueues } from "./head-queues.ts";
import { GATE_ASK_MS_MAX } from "./limits.ts";
import type { Turn } from "./turn-queue.ts";

export interface EngineGateConfig {
  readonly queues: HeadQueues;
  /** The engine of a deployment that is up here. */
  engineOf(deployment: DeploymentId): { readonly port: number; readonly apiKey: string } | null;
}

/** Takes a member's connection to a deployment's engine through its queue; settles when the connection is closed. */
export type EngineGate = (member: NodeId, deployment: DeploymentId, socket: Socket) => Promise<void>;

/**
 * The way for other members to the engines up here. A connection is one request: it says whose, is told its place in the queue while
 * it waits, and leads to the engine once it has its turn. It has that until either side closes.
 */
export function createEngineGate({ queues, engineOf }: EngineGateConfig): EngineGate {
  return async (member, deployment, socket) => {
    const gone = new AbortController();
    socket.on("error", () => socket.destroy());
    socket.once("close", () => gone.abort(new ClusterdError("interrupted", "The connection was closed.")));
    const ask = await readAsk(socket);
    if (ask === null) {
      socket.destroy();
      return;
    }
    let turn: Turn | null = null;
    try {
      if (needsSlot(ask.path)) turn = await takeTurn(member, deployment, ask, socket, gone.signal);
      const engine = engineOf(deployment);
      if (engine === null) throw new ClusterdError("shards_unreachable", "The engine is not up.");
      await leadToEngine(engine, socket, gone.signal, turn);
    } catch (error) {
      if (!socket.destroyed) socket.end(encodeLine(errorAnswer(asClusterdError(error))), () => socket.destroy());
    } finally {
      turn?.[Symbol.dispose]();
    }
  };

  async function takeTurn(
    member: NodeId,
    deployment: DeploymentId,
    { caller, more }: GateAsk,
    socket: Socket,
    signal: AbortSignal,
  ): Promise<Turn> {
    // Whatever comes before the gate is open is nothing that was agreed on: only the end of the connection is waited for.
    const unwatch = watchSilence(socket, () => void socket.destroy());
    try {
      return await queues.enter(deployment, {
        // A member tells its own callers apart; nobody can pass for another member's.
        caller: `${member}/${caller}`,
        more,
        signal,
        onPosition(position) {
          if (position > 0) socket.write(encodeLine({ position, retryAfterSeconds: queues.retryAfterSeconds(deployment) }));
        },
      });
    } finally {
      unwatch();
    }
  }
}

function readAsk(socket: Socket): Promise<GateAsk | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(null), GATE_ASK_MS_MAX);
    const settle = (ask: GateAsk | null): void => {
      clearTimeout(timer);
      resolve(ask);
    };
    readLines(
      socket,
      (line) => {
        settle(parseAsk(line));
        return false;
      },
      () => settle(null),
    );
  });
}

async function leadToEngine(
  { port, apiKey }: { readonly port: number; readonly apiKey: string },
  socket: Socket,
  signal: AbortSignal,
  turn: Turn | null,
): Promise<void> {
  const engine = connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true });
  try {
    await once(engine, "connect", { signal });
  } catch (error) {
    engine.destroy();
    throw error;
  }
  // Its answer is complete: the slot is free, however long the other end takes to read.
  engine.once("end", () => turn?.[Symbol.dispose]());
  engine.once("close", () => turn?.[Symbol.dispose]());
  // A client that closes its side wants no answer any more: the engine learns of it now.
  socket.once("end", () => engine.destroy());
  socket.write(encodeLine({ go: true, apiKey }));
  await joinSockets(engine, socket, { sent: 0, received: 0 });
}
