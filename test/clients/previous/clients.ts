/** The clients of the generation before, under the names that those of today have. */
export { createOpenAICompatible } from "@ai-sdk/openai-compatible";
export { default as Anthropic } from "@anthropic-ai/sdk";
export { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
export { tool } from "@langchain/core/tools";
export { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
export * as ai from "ai";
export { Ollama } from "ollama";
export { default as OpenAI } from "openai";
export { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
export { z } from "zod";
