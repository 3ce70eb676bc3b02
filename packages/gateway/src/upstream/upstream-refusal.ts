import { ClusterdError } from "@clusterd/wire";
import { HttpRefusal, asRefusal, type HttpCode } from "../http-refusal.ts";
import type { AnswerForm } from "../relay/answer-form.ts";
import { isObject } from "../json-body.ts";

const BAD_GATEWAY = 502;
/** Of the request's own end, which nothing outside has to do with. */
const OWN: ReadonlySet<HttpCode> = new Set<HttpCode>(["client_closed_request", "interrupted", "upstream_failed"]);
/** Statuses of an upstream after which asking again may help. */
const AGAIN: ReadonlySet<number> = new Set([408, 409, 425, 429]);

/** What went wrong with an upstream's answer, in words that do not take it for an engine of the cluster. */
function asUpstreamFailure(name: string, thrown: unknown): HttpRefusal {
  const refusal = asRefusal(thrown);
  if (OWN.has(refusal.code)) return refusal;
  const what = refusal.code === "engine_stalled" ? "stopped in the middle of its answer" : "broke off its answer";
  return new HttpRefusal(BAD_GATEWAY, "upstream_failed", `The upstream ${name} ${what}.`, { cause: thrown });
}

/** The refusal of a request that neither the cluster nor the upstream could serve: both reasons. */
export function neitherServes(name: string, here: HttpRefusal, thrown: unknown): HttpRefusal {
  const there = asUpstreamFailure(name, thrown);
  if (there.code !== "upstream_failed") return there;
  const status = statusIn(there);
  const final = status !== null && status >= 400 && status < 500 && !AGAIN.has(status);
  return new HttpRefusal(BAD_GATEWAY, "upstream_failed", `${here.message} ${there.message}`, {
    cause: thrown,
    headers: final ? { "x-should-retry": "false" } : {},
  });
}

function statusIn({ cause }: HttpRefusal): number | null {
  const details = cause instanceof ClusterdError ? cause.details : undefined;
  return isObject(details) && typeof details["status"] === "number" ? details["status"] : null;
}

/** A form whose streams tell of the upstream where it fails within its answer. */
export function upstreamForm(name: string, form: AnswerForm, includeUsage: boolean): AnswerForm {
  return {
    ...form,
    writer() {
      const writer = form.writer();
      return {
        ...writer,
        // Its tokens are counted, asked for or not.
        event: (event) => (includeUsage || !USAGE_ALONE.test(event.bytes.toString("latin1")) ? writer.event(event) : null),
        failed: (refusal) => writer.failed(asUpstreamFailure(name, refusal)),
      };
    },
  };
}

/** The chunk that comes after the last choice's, with the count alone. */
const USAGE_ALONE = /"choices":\[\]/;
