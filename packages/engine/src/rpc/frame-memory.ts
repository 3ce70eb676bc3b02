/** What a connection's ends remember: so many frames, and so many bytes of them. */
export const REMEMBERED_FRAMES_MAX = 16;
export const REMEMBERED_BYTES_MAX: number = 8 * 1024 * 1024;

/** Of each command and size the latest payload that travelled packed. Both ends of a connection remember the same, as both see the same. */
export interface FrameMemory {
  /** The latest alike; null: there is none. */
  find(command: number, payloadBytes: number): Uint32Array | null;
  /** In place of the latest alike; those that were not used for longest go, where there are too many. */
  keep(command: number, payload: Uint32Array): void;
  readonly frames: number;
  readonly bytes: number;
}

export function createFrameMemory(): FrameMemory {
  /** The one used last is the last one. */
  const kept = new Map<string, Uint32Array>();
  let bytes = 0;

  function forget(key: string): void {
    bytes -= kept.get(key)?.byteLength ?? 0;
    kept.delete(key);
  }
  return {
    find: (command, payloadBytes) => kept.get(keyOf(command, payloadBytes)) ?? null,
    keep(command, payload) {
      const key = keyOf(command, payload.byteLength);
      forget(key);
      kept.set(key, payload);
      bytes += payload.byteLength;
      for (const oldest of kept.keys()) {
        if (kept.size <= REMEMBERED_FRAMES_MAX && bytes <= REMEMBERED_BYTES_MAX) return;
        forget(oldest);
      }
    },
    get frames() {
      return kept.size;
    },
    get bytes() {
      return bytes;
    },
  };
}

const keyOf = (command: number, payloadBytes: number): string => `${command}/${payloadBytes}`;
