import { CAPITAL } from "./questions.ts";
import {
  AI,
  ANTHROPIC,
  LANGCHAIN,
  OLLAMA,
  OPENAI,
  type AiClient,
  type Clients,
  type LangChainClient,
  type OpenAiClient,
} from "./generations.ts";

export interface Call {
  readonly url: string;
  readonly key: string;
  readonly model: string;
  readonly retries: number;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** How a client, with a key in the way it has for it, asks for the capital of France. */
export type Asking = (call: Call) => Promise<string | null>;

const messages = [{ role: "user" as const, content: CAPITAL.question }];

function byOpenAi({ OpenAI: Client }: OpenAiClient): Asking {
  return async ({ url, key, model, retries, headers = {} }) => {
    const client = new Client({ baseURL: `${url}/v1`, apiKey: key, maxRetries: retries, defaultHeaders: headers });
    const { choices } = await client.chat.completions.create({ model, messages, temperature: 0 });
    return choices[0]?.message.content ?? null;
  };
}

function byAnthropic(Client: Clients["Anthropic"]): Asking {
  return async ({ url, key, model, retries, headers = {} }) => {
    const client = new Client({ baseURL: url, apiKey: key, maxRetries: retries, defaultHeaders: headers });
    const body = { model, messages, temperature: 0, max_tokens: 50 };
    const { content } = await client.messages.create(body);
    return content[0]?.type === "text" ? content[0].text : null;
  };
}

function byAiSdk({ ai: sdk, createOpenAICompatible: create }: AiClient): Asking {
  return async ({ url, key, model: name, retries: maxRetries, headers = {} }) => {
    const model = create({ name: "clusterd", baseURL: `${url}/v1`, apiKey: key, headers })(name);
    return (await sdk.generateText({ model, messages, temperature: 0, maxRetries })).text;
  };
}

function byLangChain({ ChatOpenAI: Chat }: LangChainClient): Asking {
  return async ({ url, key, model, retries, headers = {} }) => {
    const configuration = { baseURL: `${url}/v1`, defaultHeaders: headers };
    const chat = new Chat({ model, apiKey: key, temperature: 0, maxRetries: retries, configuration });
    return (await chat.invoke(CAPITAL.question)).text;
  };
}

/** It knows no retries. */
function byOllama(Client: Clients["Ollama"]): Asking {
  return async ({ url, key, model }) => {
    const client = new Client({ host: url, headers: { authorization: `Bearer ${key}` } });
    return (await client.chat({ model, messages, options: { temperature: 0 } })).message.content;
  };
}

/** Every client in both of its generations. */
export const EVERY_CLIENT: readonly (readonly [name: string, ask: Asking])[] = [
  ...OPENAI.map(([name, client]) => [name, byOpenAi(client)] as const),
  ...ANTHROPIC.map(([name, client]) => [name, byAnthropic(client)] as const),
  ...AI.map(([name, client]) => [name, byAiSdk(client)] as const),
  ...LANGCHAIN.map(([name, client]) => [name, byLangChain(client)] as const),
  ...OLLAMA.map(([name, client]) => [name, byOllama(client)] as const),
];

/** The HTTP status in what a client rejects with, wherever it keeps it. */
export function statusIn(error: unknown): unknown {
  const { status, statusCode, status_code: older } = error as Readonly<Record<string, unknown>>;
  return status ?? statusCode ?? older;
}
