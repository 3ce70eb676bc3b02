import { asContentId, type ContentId } from "@clusterd/wire";
import { newContentHash, walkHeader } from "../header-guard.ts";
import type { HubModel } from "./hub-blocks.ts";
import { bufferSource, type ShardHeaders } from "./shard-store.ts";

/** What a model on a hub is, by its headers, which are read once. Throws as {@link walkHeader} and the hub. */
export async function readHubContent(
  { headers }: Pick<HubModel, "headers">,
  signal: AbortSignal,
): Promise<{ readonly contentId: ContentId; readonly headers: ShardHeaders }> {
  const { names, partBytes } = headers;
  const hash = newContentHash();
  const starts: Buffer[] = [];
  for (const [part, name] of names.entries()) {
    const bytes = await headers.header(part);
    await walkHeader(bufferSource(bytes), name, partBytes[part] ?? 0, hash, signal);
    starts.push(bytes);
  }
  const kept = async (part: number): Promise<Buffer> => starts[part] ?? Buffer.alloc(0);
  return { contentId: asContentId(hash.digest("hex")), headers: { names, partBytes, header: kept } };
}
