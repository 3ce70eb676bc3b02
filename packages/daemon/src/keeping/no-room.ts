import { sizeText, type EvictionChoice, type RoomQuestion } from "@clusterd/catalog";
import { ClusterdError } from "@clusterd/wire";
import type { Kept } from "./kept-here.ts";

/** Named in a refusal; of more only their number. */
const NAMED_MAX = 5;

/** Why something does not fit: what it needs, what there is, and what is in use there. */
export function noRoom(
  what: string,
  question: RoomQuestion,
  { limit, shortBytes, inUse }: Exclude<EvictionChoice<Kept>, { readonly evict: unknown }>,
  folder: string,
): ClusterdError {
  const { bytesNeeded, reserveBytes, freeBytes, usedBytes, capBytes } = question;
  const named = inUse
    .toSorted((a, b) => b.bytes - a.bytes)
    .slice(0, NAMED_MAX)
    .map((one) => `${one.what} (${sizeText(one.bytes)})`);
  const more = inUse.length > NAMED_MAX ? ` and ${inUse.length - NAMED_MAX} more` : "";
  const used = inUse.length === 0 ? "" : ` In use here: ${named.join(", ")}${more}.`;
  const details = { bytesNeeded: bytesNeeded + reserveBytes, bytesFree: freeBytes, bytesUsed: usedBytes, capBytes, shortBytes };
  if (limit === "cap")
    return new ClusterdError(
      "does_not_fit",
      `${what} needs ${sizeText(bytesNeeded)}; of the ${sizeText(capBytes ?? 0)} that models may take on this node ${sizeText(usedBytes)} are taken.${used}`,
      { next: "Unload what is not needed, delete a model (clusterd rm), or allow more: clusterd join --disk SIZE", details },
    );
  return new ClusterdError(
    "does_not_fit",
    `${what} needs ${sizeText(bytesNeeded + reserveBytes)} on the disk of ${folder}, ${sizeText(freeBytes ?? 0)} are free.${used}`,
    { next: "Make room there, unload what is not needed, or choose a smaller quantisation.", details },
  );
}
