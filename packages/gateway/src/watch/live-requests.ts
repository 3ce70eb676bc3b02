import { ClusterdError } from "@clusterd/wire";

/** One generation in progress. */
export interface LiveRequest {
  /** Aborts when the client goes, when it is cut, or when the gateway closes (then with the reason to tell). */
  readonly signal: AbortSignal;
  abort(reason?: ClusterdError): void;
  end(): void;
}

export interface LiveRequests {
  begin(client: AbortSignal): LiveRequest;
  readonly count: number;
  closeAll(reason: ClusterdError): void;
}

/** The generations in progress, bounded. */
export function createLiveRequests(max: number): LiveRequests {
  const live = new Set<LiveRequest>();
  let closed: ClusterdError | null = null;
  return {
    begin(client) {
      if (closed !== null) throw closed;
      if (live.size >= max)
        throw new ClusterdError("queue_full", `This node has ${max} requests in progress.`, { next: "Try again shortly." });
      const controller = new AbortController();
      const abort = (): void => controller.abort();
      client.addEventListener("abort", abort);
      if (client.aborted) abort();
      const request: LiveRequest = {
        signal: controller.signal,
        abort: (reason) => controller.abort(reason),
        end() {
          client.removeEventListener("abort", abort);
          live.delete(request);
        },
      };
      live.add(request);
      return request;
    },
    get count() {
      return live.size;
    },
    closeAll(reason) {
      closed = reason;
      for (const request of live) request.abort(reason);
    },
  };
}
