/** What comes of a frame behind its head, handed to whoever wants to see it. */
export interface FrameRest {
  /** So many bytes belong to it in all, of which `first` are here. `end`: all of them have passed. */
  begin(bytes: number, first: Buffer, see: ((bytes: Buffer) => void) | undefined, end: () => void): void;
  next(bytes: Buffer): void;
}

export function createFrameRest(): FrameRest {
  let left = 0;
  let seeing: ((bytes: Buffer) => void) | undefined;
  let ending: (() => void) | null = null;

  function next(bytes: Buffer): void {
    if (ending === null) return;
    left -= bytes.length;
    if (bytes.length > 0) seeing?.(bytes);
    if (left > 0) return;
    const end = ending;
    ending = null;
    end();
  }
  return {
    begin(bytes, first, see, end) {
      left = bytes;
      seeing = see;
      ending = end;
      next(first);
    },
    next,
  };
}
