import type { ErrorCode } from "@clusterd/wire";

/** What the shell sees. Public: scripts rely on these numbers. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notRunning: 3,
  notFound: 4,
  doesNotFit: 5,
  notAdmitted: 6,
  timedOut: 7,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const BY_ERROR: Readonly<Record<ErrorCode, ExitCode>> = {
  failed: EXIT.failed,
  usage: EXIT.usage,
  invalid_request: EXIT.usage,
  not_running: EXIT.notRunning,
  not_found: EXIT.notFound,
  model_not_found: EXIT.notFound,
  does_not_fit: EXIT.doesNotFit,
  not_admitted: EXIT.notAdmitted,
  timeout: EXIT.timedOut,
  interrupted: EXIT.interrupted,
  context_length_exceeded: EXIT.failed,
  queue_full: EXIT.failed,
  worker_lost: EXIT.failed,
  engine_crashed: EXIT.failed,
  engine_stalled: EXIT.failed,
  engine_missing: EXIT.failed,
  protocol_mismatch: EXIT.failed,
  shards_unreachable: EXIT.failed,
  model_not_ready: EXIT.failed,
  model_broken: EXIT.failed,
  unsupported: EXIT.failed,
  port_in_use: EXIT.failed,
  home_unusable: EXIT.failed,
  already_running: EXIT.failed,
  upstream_failed: EXIT.failed,
};

/** The exit code of a failure. */
export function exitCodeOf(code: ErrorCode): ExitCode {
  return BY_ERROR[code];
}

/** Whether a text from the other side is an error code this version knows. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === "string" && Object.hasOwn(BY_ERROR, text);
}
