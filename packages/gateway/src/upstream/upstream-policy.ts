import type { ErrorCode } from "@clusterd/wire";
import type { Caller } from "../gateway-env.ts";
import { HttpRefusal, type HttpCode } from "../http-refusal.ts";
import { invalidField } from "../request/field-rules.ts";

/** What a client says about upstreams; in answers, the name of the one that gave it. */
export const UPSTREAM_HEADER = "x-clusterd-upstream";
/** Of an upstream's answer: its model, and the fields it was not sent because it does not know them. */
export const UPSTREAM_MODEL_HEADER = "x-clusterd-upstream-model";
export const LEFT_OUT_HEADER = "x-clusterd-upstream-left-out";
/** Borne by requests that a gateway sends to an upstream, which may be a gateway itself. */
export const FORWARDED_HEADER = "x-clusterd-forwarded";

/** Why the cluster cannot serve a request that is a good one: what another may be asked for instead. */
const CANNOT_SERVE: ReadonlySet<HttpCode> = new Set<ErrorCode>([
  "model_not_found",
  "model_not_ready",
  "model_broken",
  "does_not_fit",
  "queue_full",
  "worker_lost",
  "engine_crashed",
  "engine_stalled",
  "engine_missing",
  "shards_unreachable",
]);

export function isForUpstream({ code }: HttpRefusal): boolean {
  return CANNOT_SERVE.has(code);
}

/**
 * Whether a request may leave the cluster. One that has come from another cluster's gateway stays here, so that no two of them can
 * send a request to and fro; one that has come so twice went around such a rule, and is refused.
 */
export function mayLeave(headers: Headers, { isPrivate }: Pick<Caller, "isPrivate">): boolean {
  const forwarded = headers.get(FORWARDED_HEADER);
  if (forwarded?.includes(",") === true || (forwarded !== null && forwarded !== "1")) {
    throw new HttpRefusal(
      508,
      "loop_detected",
      "This request has come through more than one cluster's gateway to its upstream.",
      {
        headers: { "x-should-retry": "false" },
      },
    );
  }
  const wish = headers.get(UPSTREAM_HEADER);
  if (wish !== null && wish.trim().toLowerCase() !== "never") throw invalidField(UPSTREAM_HEADER, "can only be `never`");
  return wish === null && forwarded === null && !isPrivate;
}
