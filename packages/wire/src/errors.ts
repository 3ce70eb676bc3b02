const CODES = [
  "failed",
  "usage",
  "invalid_request",
  "not_running",
  "not_found",
  "model_not_found",
  "does_not_fit",
  "not_admitted",
  "timeout",
  "interrupted",
  "context_length_exceeded",
  "queue_full",
  "worker_lost",
  "engine_crashed",
  "engine_stalled",
  "engine_missing",
  "protocol_mismatch",
  "shards_unreachable",
  "model_not_ready",
  "model_broken",
  "unsupported",
  "port_in_use",
  "home_unusable",
  "already_running",
  "upstream_failed",
] as const;

/** What went wrong, as programs see it: in HTTP error objects, control replies, and (mapped) exit codes. */
export type ErrorCode = (typeof CODES)[number];

/** All of them. */
export const ERROR_CODES: ReadonlySet<string> = new Set(CODES);

const RETRYABLE: ReadonlySet<ErrorCode> = new Set([
  "timeout",
  "queue_full",
  "worker_lost",
  "engine_crashed",
  "engine_stalled",
  "shards_unreachable",
  "model_not_ready",
]);

export interface ClusterdErrorOptions {
  /** What the person can do next. */
  readonly next?: string;
  /** The request field at fault, where there is one. */
  readonly param?: string;
  readonly cause?: unknown;
  /** Anything a program may want besides, e.g. a refusal with its numbers. Plain data. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** A failure that answers for itself: what, why, what next, and whether trying again may help. */
export class ClusterdError extends Error {
  readonly code: ErrorCode;
  readonly next: string | undefined;
  readonly param: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, options: ClusterdErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ClusterdError";
    this.code = code;
    this.next = options.next;
    this.param = options.param;
    this.details = options.details;
  }

  shouldRetry(): boolean {
    return RETRYABLE.has(this.code);
  }
}

/** Any thrown value as a ClusterdError; what is not one already becomes `failed` with the original as its cause. */
export function asClusterdError(thrown: unknown): ClusterdError {
  if (thrown instanceof ClusterdError) return thrown;
  return new ClusterdError("failed", thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}
