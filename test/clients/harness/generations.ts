import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import * as ai from "ai";
import { Ollama } from "ollama";
import { OpenAI } from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { BEFORE } from "../previous/clients.ts";

export interface OpenAiClient {
  readonly OpenAI: typeof OpenAI;
  readonly zodResponseFormat: typeof zodResponseFormat;
  readonly zodTextFormat: typeof zodTextFormat;
  readonly z: typeof z;
}
export interface AiClient {
  readonly ai: typeof ai;
  readonly createOpenAICompatible: typeof createOpenAICompatible;
  readonly z: typeof z;
}
export interface LangChainClient {
  readonly AIMessage: typeof AIMessage;
  readonly ChatOpenAI: typeof ChatOpenAI;
  readonly HumanMessage: typeof HumanMessage;
  readonly OpenAIEmbeddings: typeof OpenAIEmbeddings;
  readonly tool: typeof tool;
  readonly ToolMessage: typeof ToolMessage;
  readonly z: typeof z;
}
/** One generation of everything. */
export interface Clients {
  readonly openAi: OpenAiClient;
  readonly ai: AiClient;
  readonly langChain: LangChainClient;
  readonly Anthropic: typeof Anthropic;
  readonly Ollama: typeof Ollama;
}

type Generations<Client> = readonly (readonly [name: string, client: Client])[];

export const OPENAI: Generations<OpenAiClient> = [
  ["openai 7", { OpenAI, zodResponseFormat, zodTextFormat, z }],
  ["openai 4", BEFORE.openAi],
];
export const AI: Generations<AiClient> = [
  ["ai 7", { ai, createOpenAICompatible, z }],
  ["ai 6", BEFORE.ai],
];
export const LANGCHAIN: Generations<LangChainClient> = [
  ["langchain 1", { AIMessage, ChatOpenAI, HumanMessage, OpenAIEmbeddings, tool, ToolMessage, z }],
  ["langchain 0.3", BEFORE.langChain],
];
export const ANTHROPIC: Generations<typeof Anthropic> = [
  ["anthropic 1", Anthropic],
  ["anthropic 0", BEFORE.Anthropic],
];
export const OLLAMA: Generations<typeof Ollama> = [
  ["ollama 0.6", Ollama],
  ["ollama 0.5", BEFORE.Ollama],
];
