export interface PatienceOptions {
  /** How long a stream that waits for something that is known is silent, and one that only waits for its first token. */
  readonly waitingMs: number;
  readonly workingMs: number;
  /** Time between two signs of life from then on. */
  readonly everyMs: number;
}

/** How long a stream waits in silence, and what it says then. Disposing of it ends its timers, unless it is kept. */
export interface Patience extends Disposable {
  /** Told what is waited for, in words; null: for nothing but the first token. */
  readonly onWaiting: (text: string | null) => void;
  /** Settles with null once there has been silence for long enough. Never rejects. */
  readonly over: Promise<null>;
  /** Goes on with signs of life, at once and then again and again; the caller disposes of what this gives. */
  keep(): Patience;
}

const WORKING = "working on the prompt";
/** What changes faster is told with the next sign of life. */
const NEWS_MS_MIN = 1_000;

/** Watches over a stream that has not begun. `say` sends a sign of life. */
export function createPatience({ waitingMs, workingMs, everyMs }: PatienceOptions, say: (text: string) => void): Patience {
  const { promise: over, resolve } = Promise.withResolvers<null>();
  const sinceMs = performance.now();
  let text: string | null = null;
  let said: string | null = null;
  let saidMs = sinceMs;
  let kept = false;
  let ended = false;
  let beat: NodeJS.Timeout | undefined;
  let timer = setTimeout(() => resolve(null), workingMs);

  const tell = (): void => {
    said = text ?? WORKING;
    saidMs = performance.now();
    say(said);
  };
  const end = (): void => {
    ended = true;
    clearTimeout(timer);
    clearInterval(beat);
  };
  const patience: Patience = {
    over,
    onWaiting(next) {
      if (ended) return;
      text = next;
      // What is known to take its time is told of sooner.
      clearTimeout(timer);
      const ms = next === null ? workingMs : waitingMs;
      timer = setTimeout(() => resolve(null), Math.max(0, sinceMs + ms - performance.now()));
      if (beat !== undefined && next !== null && next !== said && performance.now() - saidMs >= NEWS_MS_MIN) tell();
    },
    keep() {
      kept = true;
      tell();
      beat = setInterval(tell, everyMs);
      return { ...patience, [Symbol.dispose]: end };
    },
    [Symbol.dispose]() {
      if (!kept) end();
    },
  };
  return patience;
}
