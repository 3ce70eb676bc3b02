import { ClusterdError } from "@clusterd/wire";
import { Hono } from "hono";
import type { Backend } from "../backend.ts";
import type { GatewayEnv } from "../gateway-env.ts";
import { LOG_LINES_MAX, NAME_TEXT_MAX } from "../limits.ts";
import { invalidField } from "../request/field-rules.ts";
import { eventLines } from "./event-lines.ts";

const LOG_LINES_DEFAULT = 200;

function logLines(query: string | undefined): number {
  if (query === undefined) return LOG_LINES_DEFAULT;
  const lines = /^\d{1,6}$/.test(query) ? Number(query) : 0;
  if (lines < 1 || lines > LOG_LINES_MAX) throw invalidField("lines", `must be an integer from 1 to ${LOG_LINES_MAX}`);
  return lines;
}

function nodeName(query: string | undefined): string | undefined {
  if (query !== undefined && (query === "" || query.length > NAME_TEXT_MAX))
    throw invalidField("node", "must be a node's name or id");
  return query;
}

/** `GET /logs`, under `/cluster/v1`: the last lines of a member's log; with `?follow=1` as NDJSON, with what comes after them. */
export function logRoutes(backend: Backend): Hono<GatewayEnv> {
  const app = new Hono<GatewayEnv>();
  app.get("/", async (c) => {
    const lines = logLines(c.req.query("lines"));
    const node = nodeName(c.req.query("node"));
    if (c.req.query("follow") !== "1") return c.json({ lines: await backend.logs(lines, node) });
    const gone = new AbortController();
    const events = backend.followLogs(node ?? null, lines, gone.signal);
    const first = await events.next();
    // What fails before the first line has a status.
    if (first.done !== true && first.value.event === "failed") {
      const { code, message, next } = first.value.error;
      throw new ClusterdError(code, message, next === null ? {} : { next });
    }
    return eventLines(first, events, () => gone.abort());
  });
  return app;
}
