import { ClusterdError } from "@clusterd/wire";

/** A command line that cannot be understood: exit code 2, with what to type instead. */
export function usageError(message: string, next?: string): ClusterdError {
  return new ClusterdError("usage", message, next === undefined ? {} : { next });
}
