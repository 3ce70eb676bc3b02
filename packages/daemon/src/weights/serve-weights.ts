import type { Socket } from "node:net";
import type { HeldModel } from "@clusterd/catalog";
import { hashOf } from "./block-hashes.ts";
import { createPackingSense, type PackingSense } from "./packing.ts";
import { prepareAnswer, type Pace, type PreparedAnswer } from "./send-answer.ts";
import { readSocket } from "./socket-reader.ts";
import { encodeLine, parseAsk, type WeightAsk } from "./weight-lines.ts";

/** A member that asks for nothing, or takes nothing, for so long has gone. */
const SILENCE_MS_MAX = 30_000;
/** Bytes of answers that are read before their turn, over all connections of this process; what is sent at the moment comes on top. */
const AHEAD_BYTES_MAX: number = 64 * 1024 * 1024;

let aheadBytes = 0;

export interface ServeOptions {
  /** Null or absent: as fast as it goes. */
  readonly pace?: Pace | null;
  /** What the model's bytes must be, as this node knows it from a hub; absent: it knows nothing. */
  readonly manifest?: () => Promise<string | null>;
}

/**
 * Answers one member's connection for a model's bytes, ask by ask, until it ends. The next answer is read from the disk while one goes
 * out, as far as there is room for it: a connection holds two blocks at most.
 */
export async function serveWeights(
  socket: Socket,
  model: HeldModel,
  { pace = null, manifest = nothing }: ServeOptions = {},
): Promise<void> {
  const closed = new AbortController();
  socket.on("error", () => socket.destroy());
  socket.once("close", () => closed.abort());
  socket.setTimeout(SILENCE_MS_MAX, () => socket.destroy());
  const reader = readSocket(socket);
  const packing = createPackingSense();
  let before: Promise<void> = Promise.resolve();
  try {
    for (let line = await reader.line(); line !== null; line = await reader.line()) {
      const ask = parseAsk(line);
      if (ask === null) break;
      const bytes = bytesOf(ask, model);
      // Without room it is read when its turn has come.
      const isAhead = aheadBytes + bytes <= AHEAD_BYTES_MAX;
      if (!isAhead) await before;
      if (isAhead) aheadBytes += bytes;
      const answer = await answerTo(ask, model, manifest, packing, pace).finally(() => {
        if (isAhead) void before.catch(() => undefined).then(() => (aheadBytes -= bytes));
      });
      await before;
      if (socket.destroyed) break;
      before = answer?.send(socket, { pace, gone: closed.signal }) ?? missing(socket);
      // Told by the next one that waits for it, or at the end.
      before.catch(() => undefined);
    }
    await before;
  } catch {
    // Broken off, or a file that is gone: the other side asks elsewhere.
  }
  socket.destroy();
}

async function nothing(): Promise<null> {
  return null;
}

async function missing(socket: Socket): Promise<void> {
  socket.write(encodeLine({ missing: true }));
}

/** How much an answer takes in memory, as far as that is much. */
function bytesOf({ want, ...rest }: WeightAsk, { layout }: HeldModel): number {
  return want === "block" && "index" in rest ? (layout.blocks[rest.index]?.bytes ?? 0) : 0;
}

/** Null: not here. */
async function answerTo(
  ask: WeightAsk,
  model: HeldModel,
  manifest: () => Promise<string | null>,
  packing: PackingSense,
  pace: Pace | null,
): Promise<PreparedAnswer | null> {
  const { layout, names } = model;
  if (ask.want === "map") {
    const partBytes = layout.parts.map(({ fileBytes }) => fileBytes);
    return prepareAnswer(Buffer.from(JSON.stringify({ names, partBytes, present: presentBits(model) })), null, pace);
  }
  if (ask.want === "manifest") {
    const text = await manifest();
    return text === null ? null : prepareAnswer(Buffer.from(text), null, pace);
  }
  if (ask.want === "header")
    return ask.index < layout.parts.length
      ? prepareAnswer(await model.header(ask.index), ask.packed === true ? packing : null, pace)
      : null;
  const block = layout.blocks[ask.index];
  if (block === undefined || !model.has(block)) return null;
  try {
    if (ask.want === "digest") return prepareAnswer(Buffer.from(await hashOf(model, block)), null, pace);
    return prepareAnswer(await model.read(block), ask.packed === true ? packing : null, pace);
  } catch (error) {
    // Given back to the disk, or found damaged, since it was looked for.
    if (model.has(block)) throw error;
    return null;
  }
}

function presentBits(model: HeldModel): string {
  const { blocks } = model.layout;
  const bits = Buffer.alloc(Math.ceil(blocks.length / 8));
  for (const block of blocks)
    if (model.has(block)) bits[block.index >> 3] = (bits[block.index >> 3] ?? 0) | (1 << (block.index & 7));
  return bits.toString("base64");
}
