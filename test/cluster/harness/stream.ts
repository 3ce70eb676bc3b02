import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { TestNode } from "./node.ts";
import { MODEL } from "./cluster.ts";

/** The demo model's word for an end: with it forbidden a story goes on as long as the context does. */
const END_TOKEN = "1279";
const TOKENS_MAX = 900;

/** How an answer's stream ended. */
export interface StreamEnd {
  readonly tokens: number;
  readonly text: string;
  /** Whether its end mark came. */
  readonly done: boolean;
  readonly error: { readonly code: string; readonly message: string } | null;
  /** Of `performance.now()`. */
  readonly endedMs: number;
}

/** An answer as it comes, to a client on the node's own host. */
export interface Stream {
  /** Resolves once so many tokens have come, or the stream has ended. */
  came(tokens: number): Promise<void>;
  readonly end: Promise<StreamEnd>;
}

interface Chunk {
  readonly error?: { readonly code: string; readonly message: string };
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
}

/** Asks for a long story; `onToken`: told when each token comes. */
export async function openStream(
  node: TestNode,
  options: {
    readonly model?: string;
    readonly messages?: readonly { readonly role: string; readonly content: string }[];
    readonly tokens?: number;
    readonly onToken?: (nowMs: number) => void;
    /** The client goes away. */
    readonly signal?: AbortSignal;
  } = {},
): Promise<Stream> {
  const body = {
    model: options.model ?? MODEL,
    messages: options.messages ?? [{ role: "user", content: "Tell me a story." }],
    temperature: 0,
    stream: true,
    max_tokens: options.tokens ?? TOKENS_MAX,
    logit_bias: { [END_TOKEN]: -100 },
  };
  const api = String((await node.event("ready"))["api"]);
  const [curl, words] = node.host.wrap("curl", [
    "-sN",
    "-H",
    "content-type: application/json",
    "-d",
    JSON.stringify(body),
    `${api}/v1/chat/completions`,
  ]);
  const child = spawn(curl, [...words], { stdio: ["ignore", "pipe", "ignore"] });
  options.signal?.addEventListener("abort", () => child.kill("SIGKILL"), { once: true });
  let [tokens, text, done, ended] = [0, "", false, false];
  let error: StreamEnd["error"] = null;
  const waiting: { readonly tokens: number; readonly resolve: () => void }[] = [];
  const tell = (): void => {
    for (const { tokens: wanted, resolve } of waiting) if (ended || tokens >= wanted) resolve();
  };
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    const data = line.startsWith("data: ") ? line.slice("data: ".length) : line;
    done ||= data === "[DONE]";
    if (!data.startsWith("{")) return;
    const chunk = JSON.parse(data) as Chunk;
    error ??= chunk.error ?? null;
    const content = chunk.choices?.[0]?.delta?.content;
    if (typeof content !== "string") return;
    tokens += 1;
    text += content;
    options.onToken?.(performance.now());
    tell();
  });
  const end = new Promise<StreamEnd>((resolve) => {
    lines.once("close", () => {
      ended = true;
      resolve({ tokens, text, done, error, endedMs: performance.now() });
      tell();
    });
  });
  return {
    came(wanted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push({ tokens: wanted, resolve });
      tell();
      return promise;
    },
    end,
  };
}
