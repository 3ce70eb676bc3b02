import { request, type Agent } from "node:http";

/** One chat stream as a client on the same machine sees it. Milliseconds. */
export interface TimedStream {
  /** From the request to the first chunk with text. */
  readonly firstTokenMs: number;
  /** From the first chunk with text to the last one. */
  readonly decodeMs: number;
  readonly tokens: number;
  /** Between two chunks with text; 0 for those that came together. */
  readonly gapsMs: readonly number[];
}

export interface StreamTarget {
  readonly url: string;
  readonly apiKey: string | null;
  readonly agent: Agent;
}

const TEXT = Buffer.from('"delta":{"content":"');

/** Asks for a chat and times its chunks, at as little cost as can be: what the client takes is part of every figure. */
export function timedStream({ url, apiKey, agent }: StreamTarget, body: string): Promise<TimedStream> {
  return new Promise((resolve, reject) => {
    const begunMs = performance.now();
    const comingMs: number[] = [];
    let rest: Buffer = Buffer.alloc(0);
    const outgoing = request(
      `${url}/v1/chat/completions`,
      {
        agent,
        method: "POST",
        headers: {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(body),
          ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
        },
      },
      (answer) => {
        answer.on("data", (chunk: Buffer) => {
          const nowMs = performance.now();
          const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
          let from = 0;
          for (let at = bytes.indexOf(TEXT); at !== -1; at = bytes.indexOf(TEXT, from)) {
            comingMs.push(nowMs);
            from = at + TEXT.length;
          }
          rest = bytes.subarray(Math.max(from, bytes.length - TEXT.length + 1));
        });
        answer.once("error", reject);
        answer.once("end", () => {
          const [firstMs] = comingMs;
          if (answer.statusCode !== 200 || firstMs === undefined)
            return reject(new Error(`${url} answered ${answer.statusCode}.`));
          const gapsMs = comingMs.slice(1).map((ms, index) => ms - (comingMs[index] ?? ms));
          const decodeMs = (comingMs.at(-1) ?? firstMs) - firstMs;
          resolve({ firstTokenMs: firstMs - begunMs, decodeMs, tokens: comingMs.length, gapsMs });
        });
      },
    );
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}
