/** The longest wait that a client may ask for, in seconds. */
export const PREFER_WAIT_SECONDS_MAX = 600;

/**
 * How long a client prefers to wait for its answer to begin, by its `Prefer` header (RFC 7240, section 4.3: `wait=10`); seconds, null
 * where it says nothing that could be meant. Of several the first counts, as the RFC has it.
 */
export function preferredWaitSeconds(header: string | null | undefined): number | null {
  for (const preference of (header ?? "").split(",")) {
    const match = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*(;.*)?$/i.exec(preference);
    if (match !== null) return Math.min(PREFER_WAIT_SECONDS_MAX, Number(match[1]));
  }
  return null;
}
