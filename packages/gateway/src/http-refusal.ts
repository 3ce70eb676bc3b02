import { ClusterdError, asClusterdError, type ErrorCode } from "@clusterd/wire";

/** Codes that only HTTP needs, besides those every part of clusterd shares. */
export type HttpCode =
  | ErrorCode
  | "invalid_api_key"
  | "rate_limit_exceeded"
  | "insufficient_quota"
  | "model_not_allowed"
  | "control_not_allowed"
  | "host_not_allowed"
  | "origin_not_allowed"
  | "body_too_large"
  | "unsupported_media_type"
  | "method_not_allowed"
  | "client_closed_request"
  | "loop_detected";

export interface HttpRefusalOptions {
  readonly param?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Plain data for programs, e.g. a planner's refusal with its numbers. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** What a client is told when it is not given what it asked for. */
export class HttpRefusal extends Error {
  readonly status: number;
  readonly code: HttpCode;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(status: number, code: HttpCode, message: string, options: HttpRefusalOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "HttpRefusal";
    this.status = status;
    this.code = code;
    this.param = options.param ?? null;
    this.headers = options.headers ?? {};
    this.details = options.details;
  }
}

/** The status of a client that is not there any more: logged, never sent. */
export const CLIENT_GONE_STATUS = 499;

export function clientGone(): HttpRefusal {
  return new HttpRefusal(CLIENT_GONE_STATUS, "client_closed_request", "The client closed the connection.");
}

const STATUS: Readonly<Record<ErrorCode, number>> = {
  failed: 500,
  usage: 400,
  invalid_request: 400,
  not_running: 503,
  not_found: 404,
  model_not_found: 404,
  does_not_fit: 422,
  not_admitted: 403,
  timeout: 504,
  interrupted: 503,
  context_length_exceeded: 400,
  queue_full: 429,
  worker_lost: 503,
  engine_crashed: 503,
  engine_stalled: 503,
  engine_missing: 500,
  protocol_mismatch: 422,
  shards_unreachable: 503,
  model_not_ready: 503,
  model_broken: 422,
  unsupported: 501,
  port_in_use: 500,
  home_unusable: 500,
  already_running: 409,
  upstream_failed: 502,
};

/** Seconds after which trying again may help, by code. */
const RETRY_AFTER_SECONDS: Partial<Readonly<Record<ErrorCode, number>>> = {
  queue_full: 2,
  worker_lost: 5,
  engine_crashed: 5,
  engine_stalled: 5,
  shards_unreachable: 5,
  model_not_ready: 2,
};

/** Any thrown value as what the client is told; `details.retryAfterSeconds` becomes its `Retry-After`. What is not one of ours says no more than that it failed. */
export function asRefusal(thrown: unknown): HttpRefusal {
  if (thrown instanceof HttpRefusal) return thrown;
  const error = asClusterdError(thrown);
  const known = error.details?.["retryAfterSeconds"];
  const seconds = typeof known === "number" ? known : RETRY_AFTER_SECONDS[error.code];
  const message = thrown instanceof ClusterdError ? error.message : `This node failed to answer: ${error.message}`;
  return new HttpRefusal(STATUS[error.code], error.code, error.next === undefined ? message : `${message} ${error.next}`, {
    ...(error.param === undefined ? {} : { param: error.param }),
    ...(error.details === undefined ? {} : { details: error.details }),
    headers: seconds === undefined ? {} : { "retry-after": String(seconds) },
    cause: thrown,
  });
}

/** The body of every error: `{"error":{"message","type","param","code"}}`, as OpenAI's clients know it. */
export function errorBody(refusal: HttpRefusal, options: { readonly details?: boolean } = {}): string {
  const { message, param, code, details } = refusal;
  const more = options.details === true && details !== undefined ? { details } : {};
  return JSON.stringify({ error: { message, type: typeOf(refusal.status), param, code, ...more } });
}

/** A refusal as an answer; `text` is its body, in the API's shape. */
export function errorResponse(refusal: HttpRefusal, text: string): Response {
  // What is not supported will not be on the next try; OpenAI's and Anthropic's clients try again on 5xx unless told not to.
  const final = refusal.status === 501 ? { "x-should-retry": "false" } : {};
  return new Response(text, {
    status: refusal.status === CLIENT_GONE_STATUS ? 400 : refusal.status,
    headers: { "content-type": "application/json; charset=utf-8", ...final, ...refusal.headers },
  });
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  if (status === 501) return "not_supported_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}
