import { setTimeout as sleep } from "node:timers/promises";
import { ClusterdError, type LogPage, type LogsRequest, type NodeId } from "@clusterd/wire";
import type { LogRing } from "./log-ring.ts";

/** How long an ask waits for a line before it is answered with none: whoever asked knows then that the way is open. */
export const LOG_WAIT_MS_MAX = 5_000;
/** Between an ask for what follows and its answer: a log that grows by itself, or floods, is told in pages of some lines. */
const LOG_PAUSE_MS = 100;
/** Asks in progress: of one member, and of all. */
export const LOG_ASKS_PER_MEMBER_MAX = 16;
export const LOG_ASKS_MAX = 48;

/** Answers members' asks for this node's log. Nothing is kept of them: who stops asking is gone. */
export interface LogServer {
  answer(from: NodeId, request: Omit<LogsRequest, "type">, signal: AbortSignal): Promise<LogPage>;
}

export function createLogServer(log: LogRing): LogServer {
  const asks = new Map<NodeId, number>();
  let all = 0;
  return {
    async answer(from, { from: number, lines, wait }, signal) {
      const own = asks.get(from) ?? 0;
      if (own >= LOG_ASKS_PER_MEMBER_MAX || all >= LOG_ASKS_MAX)
        throw new ClusterdError("queue_full", "As many as may follow this node's log at once are following it.", {
          next: "End one of the others: clusterd logs -f",
        });
      asks.set(from, own + 1);
      all += 1;
      try {
        // An end of the wait is no failure: there is nobody left to be told of one.
        if (number !== null) await sleep(LOG_PAUSE_MS, undefined, { signal }).catch(() => undefined);
        if (wait && number !== null)
          await log.reaches(number, AbortSignal.any([signal, AbortSignal.timeout(LOG_WAIT_MS_MAX - LOG_PAUSE_MS)]));
        return log.page(number, lines);
      } finally {
        all -= 1;
        const left = (asks.get(from) ?? 1) - 1;
        if (left === 0) asks.delete(from);
        else asks.set(from, left);
      }
    },
  };
}
