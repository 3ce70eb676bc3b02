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
import type { Clients } from "../harness/generations.ts";

/** The clients of the generation before. The same calls are made to both: what differs between their types is no part of them. */
export const BEFORE: Clients = {
  openAi: { OpenAI, zodResponseFormat, zodTextFormat, z },
  ai: { ai, createOpenAICompatible, z },
  langChain: { AIMessage, ChatOpenAI, HumanMessage, OpenAIEmbeddings, tool, ToolMessage, z },
  Anthropic,
  Ollama,
} as unknown as Clients;
