import { formatBytes } from "@clusterd/device";
import { ClusterdError, type Refusal } from "@clusterd/wire";

/** For a request whose model fits once others are idle. */
export function waitsForRoom(model: string, others: readonly string[]): ClusterdError {
  return new ClusterdError(
    "model_not_ready",
    `${model} waits for room: it does not fit beside ${others.join(" and ")}, at work now.`,
    { param: "model", next: "Try again shortly." },
  );
}

/** A refusal as an error with its numbers, for those who asked to load. */
export function doesNotFit(model: string, refusal: Refusal): ClusterdError {
  const { reason, bytesNeeded, bytesAvailable, shortByBytes, suggestions } = refusal;
  const message =
    reason === "memory"
      ? `${model} does not fit: it needs ${formatBytes(bytesNeeded)}, the cluster has ${formatBytes(bytesAvailable)}, short by ${formatBytes(shortByBytes)}.`
      : reason === "head"
        ? `${model} cannot be placed: no node can be its head (the head needs the model's file and ${formatBytes(bytesNeeded)}).`
        : `${model} cannot be placed: there are not enough layers, or too many stages, for the nodes asked for.`;
  return new ClusterdError("does_not_fit", message, {
    ...(suggestions.length > 0 ? { next: suggestions.join(" ") } : {}),
    details: { ...refusal },
  });
}
