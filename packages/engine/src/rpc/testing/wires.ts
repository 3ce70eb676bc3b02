import type { RelayEnd, RelayWires } from "../relay-end.ts";

/** What an end of a relay has sent each way. */
export interface Tapped {
  readonly toLocal: Buffer[];
  readonly toRemote: Buffer[];
  readonly failures: Error[];
  /** All that went to a side since the last look. */
  local(): Buffer;
  remote(): Buffer;
}

/** Begins a connection of a relay end between two ends that only listen. */
export function tap(end: RelayEnd): Tapped {
  const tapped = { toLocal: [] as Buffer[], toRemote: [] as Buffer[], failures: [] as Error[] };
  const wires: RelayWires = {
    toLocal: (bytes) => void tapped.toLocal.push(Buffer.from(bytes)),
    localReady: () => Promise.resolve(),
    toRemote: (bytes) => void tapped.toRemote.push(Buffer.from(bytes)),
    fail: (error) => void tapped.failures.push(error),
  };
  end.begin(wires);
  return {
    ...tapped,
    local: () => Buffer.concat(tapped.toLocal.splice(0)),
    remote: () => Buffer.concat(tapped.toRemote.splice(0)),
  };
}
