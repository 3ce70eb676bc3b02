import { statfs } from "node:fs/promises";
import { ClusterdError } from "@clusterd/wire";
import { sizeTexts } from "../size-text.ts";
import { DISK_MARGIN_BYTES } from "./pull-limits.ts";

/** Gives room back that nothing needs, before any is refused; throws `does_not_fit` where that is not enough. */
export type MakeRoom = (bytes: number, what: string) => Promise<void>;

/** Throws `does_not_fit` where the disk of `folder` has no room for `bytes` more, also after `makeRoom` was asked. */
export async function checkDiskRoom(folder: string, bytes: number, what: string, makeRoom?: MakeRoom): Promise<void> {
  await makeRoom?.(bytes, what);
  // A system that does not tell lets us find out.
  const disk = await statfs(folder).catch(() => null);
  if (disk === null) return;
  const free = disk.bavail * disk.bsize;
  const wanted = bytes + DISK_MARGIN_BYTES;
  if (free >= wanted) return;
  const [needs, has] = sizeTexts(wanted, free);
  throw new ClusterdError("does_not_fit", `${what} needs ${needs} on the disk of ${folder}, ${has} are free.`, {
    next: "Make room there, or choose a smaller quantisation.",
    details: { bytesNeeded: wanted, bytesFree: free },
  });
}
