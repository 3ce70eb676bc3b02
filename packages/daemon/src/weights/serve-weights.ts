import { once } from "node:events";
import type { Socket } from "node:net";
import { blockDigest, type HeldModel } from "@clusterd/catalog";
import { encodeLine, parseAsk, readSocket, type WeightAsk } from "./weight-lines.ts";

/** A member that asks for nothing for so long has gone. */
const SILENCE_MS_MAX = 60_000;

/** Answers one member's connection for a model's bytes, ask by ask, until it ends. */
export async function serveWeights(socket: Socket, model: HeldModel): Promise<void> {
  socket.on("error", () => socket.destroy());
  socket.setTimeout(SILENCE_MS_MAX, () => socket.destroy());
  const reader = readSocket(socket);
  try {
    for (let line = await reader.line(); line !== null; line = await reader.line()) {
      const ask = parseAsk(line);
      if (ask === null) break;
      const body = await answerTo(ask, model);
      const header = encodeLine(body === null ? { missing: true } : { bytes: body.length });
      // One write: a line alone would wait for its acknowledgement.
      socket.cork();
      socket.write(header);
      const took = body === null || socket.write(body);
      socket.uncork();
      if (!took && !socket.destroyed) await Promise.race([once(socket, "drain"), once(socket, "close")]);
    }
  } catch {
    // Broken off, or a file that is gone: the other side asks elsewhere.
  }
  socket.destroy();
}

/** The bytes of an answer; null: not here. */
async function answerTo(ask: WeightAsk, model: HeldModel): Promise<Buffer | null> {
  const { layout, names } = model;
  if (ask.want === "map")
    return Buffer.from(
      JSON.stringify({ names, partBytes: layout.parts.map(({ fileBytes }) => fileBytes), present: presentBits(model) }),
    );
  if (ask.want === "header") return ask.index < layout.parts.length ? model.header(ask.index) : null;
  const block = layout.blocks[ask.index];
  if (block === undefined || !model.has(block)) return null;
  const bytes = await model.read(block);
  return ask.want === "block" ? bytes : Buffer.from(blockDigest(bytes));
}

function presentBits(model: HeldModel): string {
  const { blocks } = model.layout;
  const bits = Buffer.alloc(Math.ceil(blocks.length / 8));
  for (const block of blocks)
    if (model.has(block)) bits[block.index >> 3] = (bits[block.index >> 3] ?? 0) | (1 << (block.index & 7));
  return bits.toString("base64");
}
