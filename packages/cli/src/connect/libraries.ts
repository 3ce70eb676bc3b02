import { baseUrl, quoted, shellWord, type ClientGuide, type ConnectTarget } from "./client-guide.ts";

const QUESTION = "What is the capital of France?";
const ANSWER_TOKENS = 256;

const openaiUrl = ({ origin }: ConnectTarget): string => quoted(baseUrl("openai", origin));

/** What programs are written with. */
export const LIBRARIES: readonly ClientGuide[] = [
  {
    name: "curl",
    title: "curl, or any program that speaks HTTP",
    otherNames: ["http"],
    api: "openai",
    documentation: "https://platform.openai.com/docs/api-reference/chat/create",
    snippets: (target) => [
      {
        where: "a shell",
        language: "sh",
        text: [
          `curl ${shellWord(`${baseUrl("openai", target.origin)}/chat/completions`)} \\`,
          `  -H ${shellWord(`authorization: Bearer ${target.key}`)} \\`,
          `  -H ${shellWord("content-type: application/json")} \\`,
          `  -d ${shellWord(JSON.stringify({ model: target.model, messages: [{ role: "user", content: QUESTION }] }))}`,
        ].join("\n"),
      },
    ],
    notes: [],
  },
  {
    name: "openai-python",
    title: "OpenAI's SDK for Python",
    otherNames: ["python"],
    api: "openai",
    documentation: "https://github.com/openai/openai-python",
    snippets: (target) => [
      { where: "a shell", language: "sh", text: "pip install openai" },
      {
        where: "your program",
        language: "python",
        text: [
          "from openai import OpenAI",
          "",
          `client = OpenAI(base_url=${openaiUrl(target)}, api_key=${quoted(target.key)})`,
          "answer = client.chat.completions.create(",
          `    model=${quoted(target.model)},`,
          `    messages=[{"role": "user", "content": ${quoted(QUESTION)}}],`,
          ")",
          "print(answer.choices[0].message.content)",
        ].join("\n"),
      },
    ],
    notes: ["The same without a line of code: the variables OPENAI_BASE_URL and OPENAI_API_KEY."],
  },
  {
    name: "openai-js",
    title: "OpenAI's SDK for JavaScript and TypeScript",
    otherNames: ["openai", "openai-node", "js"],
    api: "openai",
    documentation: "https://github.com/openai/openai-node",
    snippets: (target) => [
      { where: "a shell", language: "sh", text: "npm install openai" },
      {
        where: "your program",
        language: "javascript",
        text: [
          'import OpenAI from "openai";',
          "",
          `const client = new OpenAI({ baseURL: ${openaiUrl(target)}, apiKey: ${quoted(target.key)} });`,
          "const answer = await client.chat.completions.create({",
          `  model: ${quoted(target.model)},`,
          `  messages: [{ role: "user", content: ${quoted(QUESTION)} }],`,
          "});",
          "console.log(answer.choices[0].message.content);",
        ].join("\n"),
      },
    ],
    notes: ["The same without a line of code: the variables OPENAI_BASE_URL and OPENAI_API_KEY."],
  },
  {
    name: "anthropic-python",
    title: "Anthropic's SDK for Python",
    otherNames: [],
    api: "anthropic",
    documentation: "https://github.com/anthropics/anthropic-sdk-python",
    snippets: (target) => [
      { where: "a shell", language: "sh", text: "pip install anthropic" },
      {
        where: "your program",
        language: "python",
        text: [
          "from anthropic import Anthropic",
          "",
          `client = Anthropic(base_url=${quoted(target.origin)}, api_key=${quoted(target.key)})`,
          "answer = client.messages.create(",
          `    model=${quoted(target.model)},`,
          `    max_tokens=${ANSWER_TOKENS},`,
          `    messages=[{"role": "user", "content": ${quoted(QUESTION)}}],`,
          ")",
          "print(answer.content[0].text)",
        ].join("\n"),
      },
    ],
    notes: ["Without /v1: this client adds it."],
  },
  {
    name: "anthropic-js",
    title: "Anthropic's SDK for JavaScript and TypeScript",
    otherNames: ["anthropic"],
    api: "anthropic",
    documentation: "https://github.com/anthropics/anthropic-sdk-typescript",
    snippets: (target) => [
      { where: "a shell", language: "sh", text: "npm install @anthropic-ai/sdk" },
      {
        where: "your program",
        language: "javascript",
        text: [
          'import Anthropic from "@anthropic-ai/sdk";',
          "",
          `const client = new Anthropic({ baseURL: ${quoted(target.origin)}, apiKey: ${quoted(target.key)} });`,
          "const answer = await client.messages.create({",
          `  model: ${quoted(target.model)},`,
          `  max_tokens: ${ANSWER_TOKENS},`,
          `  messages: [{ role: "user", content: ${quoted(QUESTION)} }],`,
          "});",
          "console.log(answer.content[0].text);",
        ].join("\n"),
      },
    ],
    notes: ["Without /v1: this client adds it."],
  },
  {
    name: "ollama",
    title: "clients of Ollama: its libraries, and programs that ask for an Ollama host",
    otherNames: ["ollama-js", "ollama-python"],
    api: "ollama",
    documentation: "https://github.com/ollama/ollama-js",
    snippets: (target) => [
      {
        where: "the environment of whatever reads OLLAMA_HOST",
        language: "sh",
        text: `export OLLAMA_HOST=${shellWord(target.origin)}`,
      },
      {
        where: "your program (npm install ollama)",
        language: "javascript",
        text: [
          'import { Ollama } from "ollama";',
          "",
          `const client = new Ollama({ host: ${quoted(target.origin)}, headers: { Authorization: ${quoted(`Bearer ${target.key}`)} } });`,
          `const answer = await client.chat({ model: ${quoted(target.model)}, messages: [{ role: "user", content: ${quoted(QUESTION)} }] });`,
          "console.log(answer.message.content);",
        ].join("\n"),
      },
      {
        where: "your program (pip install ollama)",
        language: "python",
        text: [
          "from ollama import Client",
          "",
          `client = Client(host=${quoted(target.origin)}, headers={"Authorization": ${quoted(`Bearer ${target.key}`)}})`,
          `answer = client.chat(model=${quoted(target.model)}, messages=[{"role": "user", "content": ${quoted(QUESTION)}}])`,
          "print(answer.message.content)",
        ].join("\n"),
      },
    ],
    notes: ["Programs without a field for a key reach only a node on their own machine, which needs none."],
  },
  {
    name: "langchain",
    title: "LangChain",
    otherNames: ["langchain-python", "langchain-js"],
    api: "openai",
    documentation: "https://docs.langchain.com/oss/python/integrations/chat",
    snippets: (target) => [
      {
        where: "your program (pip install langchain-openai)",
        language: "python",
        text: [
          "from langchain_openai import ChatOpenAI",
          "",
          `model = ChatOpenAI(model=${quoted(target.model)}, base_url=${openaiUrl(target)}, api_key=${quoted(target.key)})`,
          `print(model.invoke(${quoted(QUESTION)}).content)`,
        ].join("\n"),
      },
      {
        where: "your program (npm install @langchain/openai @langchain/core)",
        language: "javascript",
        text: [
          'import { ChatOpenAI } from "@langchain/openai";',
          "",
          "const model = new ChatOpenAI({",
          `  model: ${quoted(target.model)},`,
          `  apiKey: ${quoted(target.key)},`,
          `  configuration: { baseURL: ${openaiUrl(target)} },`,
          "});",
          `console.log((await model.invoke(${quoted(QUESTION)})).content);`,
        ].join("\n"),
      },
    ],
    notes: [],
  },
  {
    name: "ai-sdk",
    title: "the AI SDK",
    otherNames: ["vercel", "ai"],
    api: "openai",
    documentation: "https://ai-sdk.dev/providers/openai-compatible-providers",
    snippets: (target) => [
      { where: "a shell", language: "sh", text: "npm install ai @ai-sdk/openai-compatible" },
      {
        where: "your program",
        language: "javascript",
        text: [
          'import { createOpenAICompatible } from "@ai-sdk/openai-compatible";',
          'import { generateText } from "ai";',
          "",
          `const clusterd = createOpenAICompatible({ name: "clusterd", baseURL: ${openaiUrl(target)}, apiKey: ${quoted(target.key)} });`,
          `const { text } = await generateText({ model: clusterd(${quoted(target.model)}), prompt: ${quoted(QUESTION)} });`,
          "console.log(text);",
        ].join("\n"),
      },
    ],
    notes: [],
  },
];
