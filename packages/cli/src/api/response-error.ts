import { ClusterdError, type ErrorCode } from "@clusterd/wire";
import { isErrorCode } from "../exit-codes.ts";

interface ErrorBody {
  readonly message?: unknown;
  readonly code?: unknown;
  readonly param?: unknown;
  readonly next?: unknown;
  readonly details?: unknown;
}

/** The error object of an answer or of an event in a stream, in the daemon's own words. */
export function errorFromBody(body: unknown, status: number): ClusterdError {
  const error = isRecord(body) && isRecord(body["error"]) ? (body["error"] as ErrorBody) : {};
  const code = isErrorCode(error.code) ? error.code : codeOfStatus(status);
  const message =
    typeof error.message === "string" && error.message !== "" ? error.message : `The daemon answered with status ${status}.`;
  return new ClusterdError(code, message, {
    ...(typeof error.next === "string" ? { next: error.next } : {}),
    ...(typeof error.param === "string" ? { param: error.param } : {}),
    ...(isRecord(error.details) ? { details: error.details } : {}),
  });
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401 || status === 403) return "not_admitted";
  if (status === 404) return "not_found";
  if (status === 408 || status === 504) return "timeout";
  if (status === 429) return "queue_full";
  return status === 400 || status === 422 ? "invalid_request" : "failed";
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
