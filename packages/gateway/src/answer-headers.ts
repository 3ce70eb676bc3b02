import { listedOrigin } from "./origin-policy.ts";
import type { RequestRecord } from "./watch/request-record.ts";

/** Names may hold any letter, headers only ASCII. */
function headerText(text: string): string {
  return text.replace(/[^\x21-\x7e]/gu, (char) => (char.isWellFormed() ? encodeURIComponent(char) : "%EF%BF%BD"));
}

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
  headers.set("access-control-expose-headers", "x-clusterd-node, x-clusterd-model, x-request-id, retry-after");
  headers.set("cross-origin-resource-policy", "cross-origin");
}
