import type { Socket } from "node:net";
import type { Block, BlockSource, ShardHeaders } from "@clusterd/catalog";
import { ClusterdError } from "@clusterd/wire";
import { encodeLine, parseAnswer, readSocket, type SocketReader, type WeightAsk } from "./weight-lines.ts";

/** Connections to one member for one model. */
const CONNECTIONS = 3;
/** The largest answer: a header, or a block. */
const ANSWER_BYTES_MAX: number = 64 * 1024 * 1024;
/** Without a byte for so long, a connection is over. */
const SILENCE_MS_MAX = 20_000;
const PARTS_MAX = 1024;

/** A member that has (some of) a model. */
export interface MemberWeights extends AsyncDisposable {
  readonly name: string;
  /** What the model begins with; throws where the member does not have it. */
  headers(signal: AbortSignal): Promise<ShardHeaders>;
  /** SHA-256 of a block as it has it; null: it has it not. */
  digest(block: Block, signal: AbortSignal): Promise<string | null>;
  has(block: Block): boolean;
  /** Learns which blocks it has. */
  refresh(signal: AbortSignal): Promise<void>;
  readonly source: BlockSource;
}

interface Connection {
  readonly socket: Socket;
  readonly reader: SocketReader;
}

/** `connect` opens a connection to what the member offers of the model. */
export function memberWeights(name: string, connect: (signal: AbortSignal) => Promise<Socket>): MemberWeights {
  const idle: Connection[] = [];
  const all = new Set<Socket>();
  let bits: Buffer = Buffer.alloc(0);
  const has = ({ index }: Block): boolean => (((bits[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;

  async function ask(wanted: WeightAsk, signal: AbortSignal): Promise<Buffer | null> {
    const connection = idle.pop() ?? (await open(signal));
    const { socket, reader } = connection;
    const cut = (): void => void socket.destroy();
    signal.addEventListener("abort", cut, { once: true });
    try {
      signal.throwIfAborted();
      socket.write(encodeLine(wanted));
      const line = await reader.line();
      const answer = line === null ? null : parseAnswer(line, ANSWER_BYTES_MAX);
      if (answer === null) throw new ClusterdError("failed", `${name} broke off.`);
      const body = "missing" in answer ? null : await reader.bytes(answer.bytes);
      if (!("missing" in answer) && body === null) throw new ClusterdError("failed", `${name} broke off in the middle.`);
      idle.push(connection);
      return body;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      signal.removeEventListener("abort", cut);
    }
  }

  async function open(signal: AbortSignal): Promise<Connection> {
    const socket = await connect(signal);
    all.add(socket);
    socket.setTimeout(SILENCE_MS_MAX, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      all.delete(socket);
      const at = idle.findIndex((one) => one.socket === socket);
      if (at >= 0) idle.splice(at, 1);
    });
    return { socket, reader: readSocket(socket) };
  }

  async function map(signal: AbortSignal): Promise<{ readonly names: readonly string[]; readonly partBytes: readonly number[] }> {
    const body = await ask({ want: "map" }, signal);
    const { names, partBytes, present } = parseObject(body);
    const isMap =
      Array.isArray(names) &&
      Array.isArray(partBytes) &&
      typeof present === "string" &&
      names.length <= PARTS_MAX &&
      names.every((one) => typeof one === "string") &&
      partBytes.every((bytes) => Number.isSafeInteger(bytes) && (bytes as number) > 0);
    if (!isMap) throw new ClusterdError("failed", `${name} does not tell what it has.`);
    bits = Buffer.from(present, "base64");
    return { names, partBytes: partBytes as readonly number[] };
  }

  const members: MemberWeights = {
    name,
    has,
    async headers(signal) {
      const { names, partBytes } = await map(signal);
      return {
        names,
        partBytes,
        async header(index) {
          const bytes = await ask({ want: "header", index }, signal);
          if (bytes === null) throw new ClusterdError("failed", `${name} has no header of this model.`);
          return bytes;
        },
      };
    },
    async digest(block, signal) {
      return (await ask({ want: "digest", index: block.index }, signal))?.toString("latin1") ?? null;
    },
    async refresh(signal) {
      await map(signal);
    },
    source: {
      name,
      kind: "member",
      connections: CONNECTIONS,
      has,
      async read(block, signal) {
        const bytes = await ask({ want: "block", index: block.index }, signal);
        if (bytes === null) throw new ClusterdError("failed", `${name} does not have block ${block.index} any more.`);
        return bytes;
      },
      refresh: (signal) => members.refresh(signal),
    },
    async [Symbol.asyncDispose]() {
      for (const socket of all) socket.destroy();
    },
  };
  return members;
}

function parseObject(body: Buffer | null): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body?.toString("utf8") ?? "null");
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}
