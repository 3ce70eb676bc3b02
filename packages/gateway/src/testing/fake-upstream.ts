import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Upstream } from "../upstream/upstream.ts";

/** What a service outside the cluster was sent. */
export interface UpstreamRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A service outside the cluster, on a socket of its own, that does what the test says. */
export interface FakeUpstream extends AsyncDisposable {
  readonly requests: readonly UpstreamRequest[];
  /** Exchanges that were ended from the other side. */
  readonly cut: number;
  readonly url: string;
  as(changes?: Partial<Upstream>): Upstream;
}

export type UpstreamScript = (answer: ServerResponse, request: UpstreamRequest) => void;

export async function startUpstream(script: UpstreamScript): Promise<FakeUpstream> {
  const requests: UpstreamRequest[] = [];
  let cut = 0;
  const server = createServer((incoming, answer) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.once("end", () => take(incoming, Buffer.concat(chunks).toString(), answer));
  });
  const take = (incoming: IncomingMessage, text: string, answer: ServerResponse): void => {
    const body = (text === "" ? {} : JSON.parse(text)) as UpstreamRequest["body"];
    const request = { path: incoming.url ?? "", headers: incoming.headers, body };
    requests.push(request);
    answer.once("close", () => {
      if (!answer.writableFinished) cut += 1;
    });
    script(answer, request);
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  return {
    requests,
    get cut() {
      return cut;
    },
    url,
    as: (changes = {}) => ({
      ...{ name: "cloud", baseUrl: url, apiKey: "sk-secret", fields: [], tokenLimit: "max_tokens" },
      models: new Map([["Far-Model", "gpt-far"]]),
      ...changes,
    }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** A chat's chunks as OpenAI streams them, the count in one of its own. */
export function farChunks(words: readonly string[]): readonly string[] {
  const shared = { id: "chatcmpl-far", object: "chat.completion.chunk", created: 5, model: "gpt-far-2026" };
  const chunk = (delta: object, finish: string | null): object => ({
    ...shared,
    choices: [{ index: 0, delta, finish_reason: finish }],
    usage: null,
  });
  const usage = { prompt_tokens: 11, completion_tokens: words.length, total_tokens: 11 + words.length };
  const chunks = [
    chunk({ role: "assistant", content: "" }, null),
    ...words.map((content) => chunk({ content }, null)),
    chunk({}, "stop"),
    { ...shared, choices: [], usage },
  ];
  return [...chunks.map((one) => JSON.stringify(one)), "[DONE]"];
}

/** Answers every chat well. */
export function farAnswer(words: readonly string[]): UpstreamScript {
  return (answer) => {
    answer.writeHead(200, { "content-type": "text/event-stream", "x-far": "1", "set-cookie": "a=b" });
    answer.end(
      `: PROCESSING\r\n\r\n${farChunks(words)
        .map((data) => `data: ${data}\r\n\r\n`)
        .join("")}`,
    );
  };
}
