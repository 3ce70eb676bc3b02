// Many clients at once, as one process: each sends one request and tells how it ended. Prints one JSON object.
// Usage: node crowd-process.ts '{"api":"http://…","model":"…","requests":500,…}'
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import type { CrowdOptions, CrowdResult, Ending } from "./crowd.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as CrowdOptions;
/** Clients that go on purpose are gone by then; with a queue some of them still wait. */
const GONE_MS_MAX = 4_000;

interface Ended {
  readonly ending: Ending;
  readonly ms: number;
  readonly firstByteMs: number;
  readonly retryAfterSeconds: number | null;
  readonly what: string;
}

/** Each with a connection of its own. */
const agent = new Agent({ keepAlive: false, maxSockets: Infinity });

function bodyOf(at: number): string {
  return JSON.stringify({
    model: options.model,
    messages: [{ role: "user", content: `Say ${at}.` }],
    temperature: 0,
    max_tokens: options.tokens,
    stream: at % 2 === 0,
  });
}

function one(at: number): Promise<Ended> {
  const begunMs = performance.now();
  const { promise, resolve } = Promise.withResolvers<Ended>();
  let firstByteMs = Number.NaN;
  const end = (ending: Ending, what = "", retryAfterSeconds: number | null = null): void =>
    resolve({ ending, what, retryAfterSeconds, ms: performance.now() - begunMs, firstByteMs });
  const outgoing = httpRequest(`${options.api}/v1/chat/completions`, {
    method: "POST",
    agent,
    headers: { "content-type": "application/json" },
  });
  let leaving = false;
  if (at % options.oneInLeaves === 0) {
    // Some while they wait, some while they are answered.
    const timer = setTimeout(() => {
      leaving = true;
      outgoing.destroy();
      end("gone");
    }, Math.random() * GONE_MS_MAX);
    void promise.then(() => clearTimeout(timer));
  }
  outgoing.once("error", (error) => {
    if (!leaving) end("lost", error.message);
  });
  outgoing.once("response", (answer: IncomingMessage) => {
    firstByteMs = performance.now() - begunMs;
    let text = "";
    answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
    answer.once("error", (error) => {
      if (!leaving) end("lost", error.message);
    });
    answer.once("end", () => {
      const [ending, what] = endingOf(answer.statusCode ?? 0, text);
      const seconds = answer.headers["retry-after"];
      end(ending, what, seconds === undefined ? null : Number(seconds));
    });
  });
  outgoing.end(bodyOf(at));
  return promise;
}

function endingOf(status: number, text: string): [Ending, string] {
  if (status === 429 && text.includes('"code":"queue_full"')) return ["refused", ""];
  const error = /data: (\{"error".*)/.exec(text)?.[1];
  if (error?.includes('"code":"queue_full"') === true) return ["refused in its stream", error];
  if (status === 200 && error === undefined && (text.includes("[DONE]") || /^\{.*"choices":\[\{.*\}$/s.test(text)))
    return ["answered", ""];
  return ["lost", `${status} ${text.slice(0, 300)}`];
}

const all = await Promise.all(Array.from({ length: options.requests }, (_, at) => one(at)));
const endings: CrowdResult["endings"] = { answered: 0, refused: 0, "refused in its stream": 0, gone: 0, lost: 0 };
for (const { ending } of all) endings[ending] += 1;
const answered = all.filter(({ ending }) => ending === "answered");
const result: CrowdResult = {
  endings,
  lost: all.filter(({ ending }) => ending === "lost").map(({ what }) => what),
  retryAfterSeconds: all.filter(({ ending }) => ending === "refused").map(({ retryAfterSeconds }) => retryAfterSeconds),
  answeredMs: answered.map(({ ms }) => ms).sort((a, b) => a - b),
  refusedMs: all.flatMap(({ ending, ms }) => (ending === "refused" ? [ms] : [])).sort((a, b) => a - b),
};
console.log(JSON.stringify(result));
