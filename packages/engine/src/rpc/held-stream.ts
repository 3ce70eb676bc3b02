/** Bytes that wait behind a gap; above it, what feeds the stream has to wait. */
const WAITING_BYTES_MAX: number = 64 * 1024 * 1024;

interface Gap {
  pieces: readonly Buffer[] | null;
}

/** A stream that leaves in order, and stands still at a gap until that is filled. */
export interface HeldStream {
  /** What has to wait is copied. */
  write(bytes: Buffer): void;
  /** Does it when all before it has left. */
  mark(action: () => void): void;
  /** Leaves a gap; what it returns fills it, once. */
  gap(): (pieces: readonly Buffer[]) => void;
  /** Whether it stands at a gap. */
  readonly held: boolean;
  /** Null, or what to wait for before more is written. */
  room(): Promise<void> | null;
}

export function createHeldStream(emit: (bytes: Buffer) => void): HeldStream {
  let waiting: (Buffer | Gap | (() => void))[] = [];
  let waitingBytes = 0;
  let crowd: PromiseWithResolvers<void> | null = null;

  function drain(): void {
    let left = 0;
    for (const item of waiting) {
      if (typeof item === "function") item();
      else if (Buffer.isBuffer(item)) {
        waitingBytes -= item.length;
        emit(item);
      } else if (item.pieces === null) break;
      else for (const piece of item.pieces) emit(piece);
      left += 1;
    }
    waiting = waiting.slice(left);
    if (crowd === null || waitingBytes > WAITING_BYTES_MAX) return;
    crowd.resolve();
    crowd = null;
  }

  return {
    write(bytes) {
      if (waiting.length === 0) return emit(bytes);
      waitingBytes += bytes.length;
      waiting.push(Buffer.from(bytes));
    },
    mark(action) {
      if (waiting.length === 0) action();
      else waiting.push(action);
    },
    gap() {
      const gap: Gap = { pieces: null };
      waiting.push(gap);
      return (pieces) => {
        gap.pieces = pieces;
        if (waiting[0] === gap) drain();
      };
    },
    get held() {
      return waiting.length > 0;
    },
    room() {
      if (waitingBytes <= WAITING_BYTES_MAX) return null;
      crowd ??= Promise.withResolvers();
      return crowd.promise;
    },
  };
}
