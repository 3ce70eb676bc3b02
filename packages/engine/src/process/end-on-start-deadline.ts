export interface StartDeadline {
  /** From the spawn to the ready sign. */
  readonly totalMs: number;
  /** Without a line of output; a load of hours is fine as long as it says something. */
  readonly quietMs: number;
}

export interface RunningDeadline extends Disposable {
  /** There was a sign of life. */
  touch(): void;
}

/** Calls `onExpired` once, with what was waited for in words, unless it is disposed of first. */
export function startDeadline(limits: StartDeadline, onExpired: (why: string) => void): RunningDeadline {
  const began = performance.now();
  let lastSign = began;
  let timer = schedule();

  // One timer that looks when it fires, instead of a new one with every line.
  function schedule(): NodeJS.Timeout {
    const left = Math.min(began + limits.totalMs, lastSign + limits.quietMs) - performance.now();
    return setTimeout(look, Math.max(1, left));
  }

  function look(): void {
    const now = performance.now();
    if (now - began >= limits.totalMs) onExpired(`was not ready after ${seconds(limits.totalMs)}`);
    else if (now - lastSign >= limits.quietMs) onExpired(`said nothing for ${seconds(limits.quietMs)}`);
    else timer = schedule();
  }

  return {
    touch() {
      lastSign = performance.now();
    },
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;
