import { listedOrigin } from "./origin-policy.ts";
import { LEFT_OUT_HEADER, UPSTREAM_HEADER, UPSTREAM_MODEL_HEADER } from "./upstream/upstream-policy.ts";
import type { RequestRecord } from "./watch/request-record.ts";

/** Names may hold any letter, headers only ASCII. */
function headerText(text: string): string {
  return text.replace(/[^\x21-\x7e]/gu, (char) => (char.isWellFormed() ? encodeURIComponent(char) : "%EF%BF%BD"));
}

const EXPOSED = [
  ...["x-clusterd-node", "x-clusterd-model", "x-clusterd-cache", "x-request-id", "retry-after"],
  ...[UPSTREAM_HEADER, UPSTREAM_MODEL_HEADER, LEFT_OUT_HEADER],
];

export interface AnswerHeaderOptions {
  readonly request: Request;
  readonly record: RequestRecord;
  readonly node: string;
  readonly allowedOrigins: readonly string[];
}

/** What every answer bears, good or not: who took the request, for which model, and who may read it. */
export function setAnswerHeaders(headers: Headers, { request, record, node, allowedOrigins }: AnswerHeaderOptions): void {
  headers.set("x-clusterd-node", headerText(node));
  if (record.model !== null) headers.set("x-clusterd-model", headerText(record.model));
  for (const [name, value] of Object.entries(originHeaders(record))) headers.set(name, value);
  headers.set("x-request-id", record.id);
  // What Anthropic's clients call it.
  headers.set("request-id", record.id);
  headers.set("x-content-type-options", "nosniff");
  headers.set("referrer-policy", "no-referrer");
  headers.set("cross-origin-resource-policy", "same-origin");
  if (allowedOrigins.length === 0) return;
  headers.append("vary", "Origin");
  const origin = listedOrigin(request, allowedOrigins);
  if (origin === null) return;
  headers.set("access-control-allow-origin", origin);
  headers.set("access-control-expose-headers", EXPOSED.join(", "));
  headers.set("cross-origin-resource-policy", "cross-origin");
}

/** Where an answer comes from that no engine of the cluster has made for this request. */
function originHeaders({ upstream, cache }: RequestRecord): Readonly<Record<string, string>> {
  return {
    ...(cache === null ? {} : { "x-clusterd-cache": cache }),
    ...(upstream === null ? {} : { [UPSTREAM_HEADER]: upstream.name, [UPSTREAM_MODEL_HEADER]: headerText(upstream.model) }),
    ...(upstream === null || upstream.leftOut.length === 0 ? {} : { [LEFT_OUT_HEADER]: upstream.leftOut.join(", ") }),
  };
}
