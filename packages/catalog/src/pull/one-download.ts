import type { DownloadOptions } from "./download-file.ts";

type Fetch = (options: DownloadOptions) => Promise<{ readonly sha256: string }>;

interface Shared {
  readonly fileBytes: number;
  readonly sha256: string | null;
  readonly identity: string;
  readonly stop: AbortController;
  readonly listeners: Set<DownloadOptions["onProgress"]>;
  readonly ended: Promise<{ readonly sha256: string }>;
}

/** The same, but of those who want one file in one place all but the first wait for the first, and are told of its progress. */
export function shareByTarget(fetch: Fetch): Fetch {
  const running = new Map<string, Shared>();

  function begin(options: DownloadOptions): Shared {
    const { target, fileBytes, sha256, source } = options;
    const stop = new AbortController();
    const listeners = new Set<DownloadOptions["onProgress"]>();
    const onProgress: DownloadOptions["onProgress"] = (doneBytes, step) => {
      for (const tell of listeners) tell(doneBytes, step);
    };
    const ended = fetch({ ...options, signal: stop.signal, onProgress }).finally(() => running.delete(target));
    const shared: Shared = { fileBytes, sha256, identity: source.identity, stop, listeners, ended };
    running.set(target, shared);
    return shared;
  }

  async function follow(shared: Shared, { signal, onProgress }: DownloadOptions): Promise<{ readonly sha256: string }> {
    // A listener of its own: two may have given the same one.
    const tell: typeof onProgress = (doneBytes, step) => onProgress(doneBytes, step);
    shared.listeners.add(tell);
    const left = Promise.withResolvers<never>();
    const leave = (): void => {
      shared.listeners.delete(tell);
      if (shared.listeners.size > 0) return left.reject(signal.reason);
      // Nobody is left: what was begun is written down before this ends.
      shared.stop.abort(signal.reason);
      const stopped = (): void => left.reject(signal.reason);
      shared.ended.then(stopped, stopped);
    };
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([shared.ended, left.promise]);
    } finally {
      signal.removeEventListener("abort", leave);
      shared.listeners.delete(tell);
    }
  }

  return async (options) => {
    const { target, signal, fileBytes, sha256, source } = options;
    for (;;) {
      signal.throwIfAborted();
      const other = running.get(target);
      if (other === undefined) return follow(begin(options), options);
      const isSame =
        other.fileBytes === fileBytes &&
        (sha256 === null ? other.identity === source.identity : other.sha256 === sha256) &&
        !other.stop.signal.aborted;
      if (isSame) return follow(other, options);
      // Another file for the same place: one after the other.
      await other.ended.catch(() => undefined);
    }
  };
}
