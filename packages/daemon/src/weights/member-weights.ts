import type { Socket } from "node:net";
import type { Block, BlockSource, ShardHeaders } from "@clusterd/catalog";
import { ClusterdError } from "@clusterd/wire";
import { openAskLine, type Asking, type AskLine } from "./ask-line.ts";
import type { Pace } from "./send-answer.ts";
import type { WeightAsk } from "./weight-lines.ts";

/** Connections to one member for one model's blocks; one more is for questions, which must not wait behind blocks. */
const BLOCK_LINES = 3;
/** Blocks asked for on each of them: the next one comes while one is verified and written. */
const BLOCKS_ON_LINE = 2;
const PARTS_MAX = 1024;
/** Unpacking that holds up a connection for more than this share of a block's time does not pay. */
const WAITED_SHARE_MAX = 0.2;
/** Blocks that are then asked for as they are. */
const PLAIN_BLOCKS = 64;

/** A member that has (some of) a model. */
export interface MemberWeights extends AsyncDisposable {
  readonly name: string;
  /** What the model begins with; throws where the member does not have it. */
  headers(signal: AbortSignal): Promise<ShardHeaders>;
  /** SHA-256 of a block as it has it; null: it has it not. */
  digest(block: Block, signal: AbortSignal): Promise<string | null>;
  /** What the model's bytes must be, as it knows that from a hub; null: it does not. */
  manifest(signal: AbortSignal): Promise<string | null>;
  has(block: Block): boolean;
  /** Learns which blocks it has. */
  refresh(signal: AbortSignal): Promise<void>;
  readonly source: BlockSource;
}

export interface MemberWeightsOptions {
  /** How fast blocks are asked for; null or absent: as fast as they come. */
  readonly pace?: Pick<Pace, "take"> | null;
}

/** A connection, opened when it is first needed and anew when it has failed. */
interface Slot {
  line: Promise<AskLine> | null;
  /** Asked on it and not answered yet. */
  open: number;
}

/** `connect` opens a connection to what the member offers of the model. */
export function memberWeights(
  name: string,
  connect: (signal: AbortSignal) => Promise<Socket>,
  { pace = null }: MemberWeightsOptions = {},
): MemberWeights {
  const sockets = new Set<Socket>();
  const closing = new AbortController();
  const blocks: readonly Slot[] = Array.from({ length: BLOCK_LINES }, () => ({ line: null, open: 0 }));
  const questions: readonly Slot[] = [{ line: null, open: 0 }];
  /** Blocks that are still to be asked for as they are. */
  let plainLeft = 0;
  let bits: Buffer = Buffer.alloc(0);
  const has = ({ index }: Block): boolean => (((bits[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;

  async function open(slot: Slot): Promise<AskLine> {
    const socket = await connect(closing.signal);
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      slot.line = null;
    });
    if (closing.signal.aborted) socket.destroy();
    return openAskLine(name, socket);
  }

  /** Asks on the connection with the least to do. */
  async function ask(slots: readonly Slot[], wanted: WeightAsk, asking: Asking): Promise<Buffer | null> {
    const slot = slots.reduce((least, one) => (one.open < least.open ? one : least));
    slot.open += 1;
    try {
      const opening = (slot.line ??= open(slot));
      opening.catch(() => {
        if (slot.line === opening) slot.line = null;
      });
      const line = await unlessAborted(opening, asking.signal);
      return await line.ask(wanted, asking);
    } finally {
      slot.open -= 1;
    }
  }

  async function map(signal: AbortSignal): Promise<{ readonly names: readonly string[]; readonly partBytes: readonly number[] }> {
    const body = await ask(questions, { want: "map" }, { signal });
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

  async function read(block: Block, signal: AbortSignal): Promise<Buffer> {
    await pace?.take(block.bytes, signal);
    if (plainLeft > 0) plainLeft -= 1;
    const bytes = await ask(
      blocks,
      { want: "block", index: block.index, packed: plainLeft === 0 },
      {
        bytes: block.bytes,
        signal,
        onTimes(waitedMs, tookMs) {
          if (waitedMs > tookMs * WAITED_SHARE_MAX) plainLeft = PLAIN_BLOCKS;
        },
      },
    );
    if (bytes === null) throw new ClusterdError("failed", `${name} does not have block ${block.index} any more.`);
    return bytes;
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
          const bytes = await ask(blocks, { want: "header", index, packed: true }, { signal });
          if (bytes === null) throw new ClusterdError("failed", `${name} has no header of this model.`);
          return bytes;
        },
      };
    },
    async digest(block, signal) {
      return (await ask(questions, { want: "digest", index: block.index }, { signal }))?.toString("latin1") ?? null;
    },
    async manifest(signal) {
      return (await ask(questions, { want: "manifest" }, { signal }))?.toString("utf8") ?? null;
    },
    async refresh(signal) {
      await map(signal);
    },
    source: {
      name,
      kind: "member",
      connections: BLOCK_LINES * BLOCKS_ON_LINE,
      has,
      read,
      refresh: (signal) => members.refresh(signal),
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      for (const socket of sockets) socket.destroy();
    },
  };
  return members;
}

/** A connection that is being opened for others as well is not given up with the one ask. */
async function unlessAborted<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function parseObject(body: Buffer | null): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body?.toString("utf8") ?? "null");
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}
