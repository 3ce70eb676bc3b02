import { createGateway, type Gateway, type GatewayOptions } from "../gateway.ts";
import type { FakeBackend } from "./fake-backend.ts";

export const BASE = "http://127.0.0.1:2573";

export function gatewayFor(backend: FakeBackend, changes: Partial<GatewayOptions> = {}): Gateway {
  return createGateway({ backend, apiKey: null, assetsDir: null, allowedHosts: [], allowedOrigins: [], ...changes });
}

export async function post(
  gateway: Gateway,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return gateway.fetch(
    new Request(BASE + path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    }),
  );
}

export async function get(gateway: Gateway, path: string, headers: Record<string, string> = {}): Promise<Response> {
  return gateway.fetch(new Request(BASE + path, { headers }));
}

export interface ErrorJson {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
    readonly details?: unknown;
  };
}

export async function errorOf(response: Response): Promise<ErrorJson["error"] & { readonly status: number }> {
  const { error } = (await response.json()) as ErrorJson;
  return { ...error, status: response.status };
}

/** The data of every event in an SSE text. */
export function eventData(text: string): readonly string[] {
  return text
    .split("\n\n")
    .filter((event) => event.startsWith("data: "))
    .map((event) => event.slice("data: ".length));
}

export const CHAT: Readonly<Record<string, unknown>> = { model: "demo-16l-q8_0", messages: [{ role: "user", content: "hello" }] };

export interface Chunk {
  readonly choices: readonly {
    readonly index: number;
    readonly delta: { readonly content?: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: unknown;
}

/** The events of a stream, apart: chunks, the error it ended with, and whether it said that it is done. */
export async function readStream(
  response: Response,
): Promise<{ text: string; chunks: Chunk[]; error: ErrorJson["error"] | null; done: boolean }> {
  const data = eventData(await response.text());
  const json = data.filter((line) => line !== "[DONE]").map((line) => JSON.parse(line) as Chunk & Partial<ErrorJson>);
  const chunks = json.filter(({ error }) => error === undefined);
  return {
    chunks,
    text: chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? "")).join(""),
    error: json.find(({ error }) => error !== undefined)?.error ?? null,
    done: data.at(-1) === "[DONE]",
  };
}
