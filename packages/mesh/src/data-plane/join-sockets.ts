import type { Socket } from "node:net";
import { createChunkMemory, type ChunkMemory } from "./chunk-memory.ts";
import { createOutlet, type Outlet } from "./outlet.ts";

/** Bytes that passed a pair of sockets, both ways. */
export interface Traffic {
  sent: number;
  received: number;
}

/**
 * Looks at what passes between a pair of sockets. A chunk it is given is its own: it passes it on, changed or not, or keeps it back. What
 * it throws ends both sockets. While a promise of it is open, its direction is paused.
 */
export interface Interceptor {
  /** It holds no part of a chunk beyond its call, or the promise it returned: the memory is given back once what it passed on is written. */
  readonly copiesWhatItKeeps?: boolean;
  /** Before the first chunk. */
  begin(wires: Wires): void;
  fromLocal(chunk: Buffer): Promise<void> | void;
  fromRemote(chunk: Buffer): Promise<void> | void;
  /** Both sockets are closed. */
  ended(): void;
}

/** The ways out of an interceptor. */
export interface Wires {
  toLocal(bytes: Buffer): void;
  /** Resolves once the local side has taken enough to be given more, or is closed. */
  localReady(): Promise<void>;
  toRemote(bytes: Buffer): void;
  /** Ends both sockets. */
  fail(error: Error): void;
}

/** How often the peer's kernel is asked for a sign of life when nothing moves. */
const KEEPALIVE_MS = 1_000;
/** Bytes taken from one side and not yet given to the other, per direction. Pausing at every chunk would halve the throughput. */
const UNSENT_BYTES_MAX: number = 1024 * 1024;
/** One side has ended and nothing moves any more: how long the other may take to end as well. */
const HALF_OPEN_MS_MAX = 10_000;

/**
 * Passes bytes both ways between two sockets. An end of one is passed on as an end; an error or a sudden close of one destroys the
 * other at once, so that no half-open socket lingers and the engine behind it learns of the loss. A socket that cannot take more
 * pauses the other. Both sockets must allow half-open connections. Resolves once both are closed, with the error if there was one.
 */
export function joinSockets(local: Socket, remote: Socket, traffic: Traffic, interceptor?: Interceptor): Promise<Error | null> {
  const { promise, resolve } = Promise.withResolvers<Error | null>();
  let failure: Error | null = null;
  let open = 2;
  const closed = (): void => {
    if (--open === 0) resolve(failure);
  };
  const fail = (error: Error): void => {
    failure ??= error;
    local.destroy();
    remote.destroy();
  };
  for (const socket of [local, remote]) {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
    socket.on("error", fail);
    if (socket.closed) closed();
    else socket.once("close", closed);
    if (socket.destroyed) fail(new Error("it closed the connection"));
  }
  const toRemote = createOutlet(remote, (bytes) => (traffic.sent += bytes));
  const toLocal = createOutlet(local, (bytes) => (traffic.received += bytes));
  const both = [toRemote, toLocal];
  const keeps = interceptor !== undefined && interceptor.copiesWhatItKeeps !== true;
  const pass = (from: Socket, to: Socket, outlet: Outlet, take: Passing["take"]): void => {
    const turns = interceptor === undefined ? [outlet] : both;
    passOn({ from, to, outlet, turns, memory: keeps ? null : createChunkMemory(turns), take, fail });
  };
  interceptor?.begin({ toLocal: toLocal.write, toRemote: toRemote.write, fail, localReady: () => ready(local) });
  pass(local, remote, toRemote, interceptor === undefined ? toRemote.write : (chunk) => interceptor.fromLocal(chunk));
  pass(remote, local, toLocal, interceptor === undefined ? toLocal.write : (chunk) => interceptor.fromRemote(chunk));
  return interceptor === undefined ? promise : promise.finally(() => interceptor.ended());
}

async function ready(socket: Socket): Promise<void> {
  if (socket.destroyed || socket.writableLength < UNSENT_BYTES_MAX) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("drain", done);
    socket.on("close", done);
  });
}

interface Passing {
  readonly from: Socket;
  readonly to: Socket;
  /** Into `to`. */
  readonly outlet: Outlet;
  /** Those that a chunk's parts may go to. */
  readonly turns: readonly Outlet[];
  readonly memory: ChunkMemory | null;
  take(chunk: Buffer): Promise<void> | void;
  fail(error: Error): void;
}

function passOn({ from, to, outlet, turns, memory, take, fail }: Passing): void {
  let held = false;
  const full = (): boolean => to.writableLength >= UNSENT_BYTES_MAX;
  const goOn = (): void => {
    if (!held && !full()) from.resume();
  };
  const failed = (error: unknown): void => fail(error instanceof Error ? error : new Error(String(error)));
  from.on("data", (chunk: Buffer) => {
    for (const way of turns) way.openTurn();
    let work: Promise<void> | void = undefined;
    try {
      work = take(chunk);
    } catch (error) {
      failed(error);
    }
    for (const way of turns) way.closeTurn();
    if (work === undefined) memory?.release(chunk);
    else {
      held = true;
      from.pause();
      work.then(() => {
        held = false;
        memory?.release(chunk);
        if (over) finish();
        goOn();
      }, failed);
    }
    memory?.sweep();
    if (full()) from.pause();
  });
  to.on("drain", () => {
    memory?.sweep();
    goOn();
  });
  to.once("finish", () => memory?.sweep());
  const finish = (): void => {
    outlet.end();
    to.setTimeout(HALF_OPEN_MS_MAX, () => fail(new Error("it did not close the connection")));
  };
  // The end comes even to a socket that is paused: what is held goes first.
  let over = false;
  from.once("end", () => {
    over = true;
    if (!held) finish();
  });
  from.once("close", () => {
    if (!from.readableEnded) fail(new Error("it closed the connection"));
  });
}
