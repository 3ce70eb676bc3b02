import { asClusterdError, type ClusterdError } from "@clusterd/wire";
import type { Backend } from "../backend.ts";

/** What was begun and is not told of yet, or was refused for now, is asked for again after so long. */
const AGAIN_MS = 1_000;

/** A load that was asked for. */
export interface WantedLoad {
  /** Null while it is being decided about; else why it is not begun. */
  readonly refusal: ClusterdError | null;
  /** Whether it is to be asked for again. */
  isOver(nowMs: number): boolean;
}

/** Asks for a model to be loaded; `onNews` is told once that is decided. */
export function wantLoad(
  backend: Backend,
  name: string,
  keepAliveSeconds: number | null | undefined,
  onNews: () => void,
): WantedLoad {
  const sinceMs = performance.now();
  let decided = false;
  let refusal: ClusterdError | null = null;
  const settle = (error: ClusterdError | null): void => {
    decided = true;
    refusal = error;
    onNews();
  };
  backend.want(name, keepAliveSeconds).then(
    () => settle(null),
    (error: unknown) => settle(asClusterdError(error)),
  );
  return {
    get refusal() {
      return refusal;
    },
    isOver: (nowMs) => decided && nowMs - sinceMs >= AGAIN_MS,
  };
}
