import { ClusterdError, asClusterdError, type ClusterState } from "@clusterd/wire";
import { readEvents, type ServerEvent } from "./event-stream.ts";
import { readJsonLines } from "./json-lines.ts";
import { notRunning } from "./not-running.ts";
import { errorFromBody } from "./response-error.ts";

export interface ClientConfig {
  readonly home: string;
  /** For example `http://127.0.0.1:2573`. */
  readonly api: string;
  readonly apiKey: string | null;
  readonly signal: AbortSignal;
}

/** The daemon's HTTP API, as the CLI uses it. Every failure is a ClusterdError. */
export interface Client {
  state(): Promise<ClusterState>;
  get(path: string): Promise<unknown>;
  post(path: string, body: unknown): Promise<unknown>;
  /** Events of a stream, until it ends or `signal` aborts. */
  /** JSON values of an answer with one a line, until it ends. */
  /** Without a body it is a GET. */
  lines(path: string, body?: unknown): AsyncGenerator;
  events(path: string, options?: { readonly body?: unknown; readonly signal?: AbortSignal }): AsyncGenerator<ServerEvent>;
}

interface Call {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: unknown;
  readonly accept: string;
  readonly signal: AbortSignal;
}

export function createClient(config: ClientConfig): Client {
  const json = async (method: Call["method"], path: string, body?: unknown): Promise<unknown> => {
    const response = await send(config, { method, path, body, accept: "application/json", signal: config.signal });
    return readJson(response, config);
  };
  return {
    state: async () => (await json("GET", "/cluster/v1/state")) as ClusterState,
    get: (path) => json("GET", path),
    post: (path, body) => json("POST", path, body),
    async *lines(path, body) {
      const { signal } = config;
      const method = body === undefined ? "GET" : "POST";
      const response = await send(config, { method, path, body, accept: "application/x-ndjson", signal });
      if (response.body === null) return;
      try {
        yield* readJsonLines(response.body);
      } catch (error) {
        throw failure(config, signal, error);
      }
    },
    async *events(path, { body, signal = config.signal } = {}) {
      const method = body === undefined ? "GET" : "POST";
      const response = await send(config, { method, path, body, accept: "text/event-stream", signal });
      if (response.body === null) return;
      try {
        yield* readEvents(response.body);
      } catch (error) {
        throw failure(config, signal, error);
      }
    },
  };
}

async function send(config: ClientConfig, { method, path, body, accept, signal }: Call): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(new URL(path, config.api), {
      method,
      headers: {
        accept,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(config.apiKey === null ? {} : { authorization: `Bearer ${config.apiKey}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    });
  } catch (error) {
    throw failure(config, signal, error);
  }
  if (!response.ok) throw errorFromBody(await readJson(response, config).catch(() => null), response.status);
  return response;
}

async function readJson(response: Response, config: ClientConfig): Promise<unknown> {
  const text = await response.text().catch((error: unknown) => {
    throw failure(config, config.signal, error);
  });
  try {
    return text === "" ? {} : (JSON.parse(text) as unknown);
  } catch (error) {
    throw new ClusterdError("failed", `${config.api} did not answer in JSON.`, { cause: error });
  }
}

function failure(config: ClientConfig, signal: AbortSignal, error: unknown): ClusterdError {
  if (signal.aborted) return new ClusterdError("interrupted", "Interrupted.", { cause: error });
  if (error instanceof ClusterdError) return error;
  const code = systemCodeOf(error);
  if (code === "ECONNREFUSED" || code === "ECONNRESET" || code === "UND_ERR_SOCKET") return notRunning(config.home, error);
  return asClusterdError(error);
}

/** fetch hides the system's error code in a cause, several addresses' errors in an aggregate. */
function systemCodeOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = (at as NodeJS.ErrnoException).code;
    if (code !== undefined) return code;
    if (at instanceof AggregateError) return systemCodeOf(at.errors[0]);
  }
  return undefined;
}
