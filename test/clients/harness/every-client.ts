import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { ChatOpenAI } from "@langchain/openai";
import * as ai from "ai";
import { Ollama } from "ollama";
import OpenAI from "openai";
import * as previous from "../previous/clients.ts";
import { CAPITAL } from "./questions.ts";

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

function byOpenAi(Client: typeof OpenAI): Asking {
  return async ({ url, key, model, retries, headers = {} }) => {
    const client = new Client({ baseURL: `${url}/v1`, apiKey: key, maxRetries: retries, defaultHeaders: headers });
    const { choices } = await client.chat.completions.create({ model, messages, temperature: 0 });
    return choices[0]?.message.content ?? null;
  };
}

function byAnthropic(Client: typeof Anthropic): Asking {
  return async ({ url, key, model, retries, headers = {} }) => {
    const client = new Client({ baseURL: url, apiKey: key, maxRetries: retries, defaultHeaders: headers });
    const body = { model, messages, temperature: 0, max_tokens: 50 };
    const { content } = await client.messages.create(body);
    return content[0]?.type === "text" ? content[0].text : null;
  };
}

function byAiSdk(sdk: typeof ai, create: typeof createOpenAICompatible): Asking {
  return async ({ url, key, model: name, retries: maxRetries, headers = {} }) => {
    const model = create({ name: "clusterd", baseURL: `${url}/v1`, apiKey: key, headers })(name);
    return (await sdk.generateText({ model, messages, temperature: 0, maxRetries })).text;
  };
}

function byLangChain(Chat: typeof ChatOpenAI): Asking {
  return async ({ url, key, model, retries, headers = {} }) => {
    const configuration = { baseURL: `${url}/v1`, defaultHeaders: headers };
    const chat = new Chat({ model, apiKey: key, temperature: 0, maxRetries: retries, configuration });
    return (await chat.invoke(CAPITAL.question)).text;
  };
}

/** It knows no retries. */
function byOllama(Client: typeof Ollama): Asking {
  return async ({ url, key, model }) => {
    const client = new Client({ host: url, headers: { authorization: `Bearer ${key}` } });
    return (await client.chat({ model, messages, options: { temperature: 0 } })).message.content;
  };
}

/** Every client in both of its generations. The same calls are made in both: what differs between their types is no part of them. */
export const EVERY_CLIENT: readonly (readonly [name: string, ask: Asking])[] = [
  ["openai 7", byOpenAi(OpenAI)],
  ["openai 4", byOpenAi(previous.OpenAI as unknown as typeof OpenAI)],
  ["anthropic 1", byAnthropic(Anthropic)],
  ["anthropic 0", byAnthropic(previous.Anthropic as unknown as typeof Anthropic)],
  ["ai 7", byAiSdk(ai, createOpenAICompatible)],
  [
    "ai 6",
    byAiSdk(previous.ai as unknown as typeof ai, previous.createOpenAICompatible as unknown as typeof createOpenAICompatible),
  ],
  ["langchain 1", byLangChain(ChatOpenAI)],
  ["langchain 0.3", byLangChain(previous.ChatOpenAI as unknown as typeof ChatOpenAI)],
  ["ollama 0.6", byOllama(Ollama)],
  ["ollama 0.5", byOllama(previous.Ollama as unknown as typeof Ollama)],
];

/** The HTTP status in what a client rejects with, wherever it keeps it. */
export function statusIn(error: unknown): unknown {
  const { status, statusCode, status_code: older } = error as Readonly<Record<string, unknown>>;
  return status ?? statusCode ?? older;
}
