import {
  asClusterdError,
  ClusterdError,
  LOG_PAGE_LINES_MAX,
  type ControlAnswers,
  type LogEvent,
  type LogPage,
  type LogsRequest,
  type NodeId,
} from "@clusterd/wire";
import { createLogServer, LOG_WAIT_MS_MAX } from "./serve-logs.ts";
import type { LogRing } from "./log-ring.ts";

/** For the way there and back, besides what an ask may wait. */
const ASK_MS_MAX = 10_000;
/** Who may follow logs through this node at once. */
export const FOLLOWERS_MAX = 16;

export interface LogReaderConfig {
  readonly self: NodeId;
  /** This node's own. */
  readonly log: LogRing;
  ask(to: NodeId, request: LogsRequest, options: { readonly signal: AbortSignal }): Promise<ControlAnswers["logs"]>;
}

interface Named {
  readonly node: NodeId;
  readonly name: string;
}

/** Reads any member's log; this node's own without the network, by the same pages. */
export interface LogReader {
  last(of: Named, lines: number): Promise<readonly string[]>;
  follow(of: Named, lines: number, signal: AbortSignal): AsyncGenerator<LogEvent, void>;
}

export function createLogReader({ self, log, ask }: LogReaderConfig): LogReader {
  const own = createLogServer(log);
  let followers = 0;

  async function page({ node, name }: Named, request: Omit<LogsRequest, "type">, signal: AbortSignal): Promise<LogPage> {
    const within = AbortSignal.any([signal, AbortSignal.timeout(LOG_WAIT_MS_MAX + ASK_MS_MAX)]);
    try {
      return node === self
        ? await own.answer(self, request, within)
        : await ask(node, { type: "logs", ...request }, { signal: within });
    } catch (error) {
      const { code, message, next } = asClusterdError(error);
      // It has answered, and not with lines: too many ask, or it is of a version that knows no such question.
      if (code === "queue_full" || code === "invalid_request")
        throw new ClusterdError(code, `${name}: ${message}`, next === undefined ? {} : { next });
      throw new ClusterdError("shards_unreachable", `The log of ${name} cannot be had: ${message}`, {
        cause: error,
        next: "See whether it is there: clusterd nodes",
      });
    }
  }

  /** The last lines by pages; `next` of the last page goes on from there. */
  async function tail(of: Named, lines: number, signal: AbortSignal): Promise<{ lines: readonly string[]; next: number }> {
    const told: string[] = [];
    // The first page of the last `lines` says where they begin; a page holds no more than fits.
    let from: number | null = null;
    for (;;) {
      const some: LogPage = await page(of, { from, lines: lines - told.length, wait: false }, signal);
      told.push(...some.lines);
      from = some.next;
      if (some.lines.length === 0 || told.length >= lines) return { lines: told, next: from };
    }
  }

  return {
    last: async (of, lines) => (await tail(of, lines, AbortSignal.timeout(ASK_MS_MAX))).lines,
    async *follow(of, lines, signal) {
      if (followers >= FOLLOWERS_MAX)
        throw new ClusterdError("queue_full", `${FOLLOWERS_MAX} logs are followed through this node already.`, {
          next: "End one of the others: clusterd logs -f",
        });
      followers += 1;
      try {
        const first = await tail(of, lines, signal);
        yield { event: "lines", lines: first.lines, missed: 0 };
        let { next } = first;
        while (!signal.aborted) {
          const more = await page(of, { from: next, lines: LOG_PAGE_LINES_MAX, wait: true }, signal);
          next = more.next;
          if (more.lines.length === 0 && more.missed === 0) yield { event: "quiet" };
          else yield { event: "lines", lines: more.lines, missed: more.missed };
        }
      } catch (error) {
        if (signal.aborted) return;
        const { code, message, next } = asClusterdError(error);
        yield { event: "failed", error: { code, message, next: next ?? null } };
      } finally {
        followers -= 1;
      }
    },
  };
}
