import { baseUrl, exported, quoted, shellWord, type ClientGuide, type ConnectTarget } from "./client-guide.ts";

/** Where a model's context is not known yet: what models get here unless somebody asks for more. */
const CONTEXT_ASSUMED = 32_768;
/** Of a context, what editors are told to leave for the answer. */
const ANSWER_SHARE: number = 1 / 4;

const contextOf = ({ context }: ConnectTarget): number => context ?? CONTEXT_ASSUMED;
const openaiUrl = ({ origin }: ConnectTarget): string => baseUrl("openai", origin);

/** What people use. */
export const PROGRAMS: readonly ClientGuide[] = [
  {
    name: "claude-code",
    title: "Claude Code",
    otherNames: ["claude"],
    api: "anthropic",
    documentation: "https://code.claude.com/docs/en/llm-gateway",
    snippets: (target) => [
      {
        where: "the shell in which you start claude",
        language: "sh",
        text: [
          exported({
            ANTHROPIC_BASE_URL: target.origin,
            ANTHROPIC_AUTH_TOKEN: target.key,
            ANTHROPIC_MODEL: target.model,
            ANTHROPIC_DEFAULT_OPUS_MODEL: target.model,
            ANTHROPIC_DEFAULT_SONNET_MODEL: target.model,
            ANTHROPIC_DEFAULT_HAIKU_MODEL: target.model,
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
          }),
          "unset ANTHROPIC_API_KEY",
          "claude",
        ].join("\n"),
      },
    ],
    notes: [
      "Without /v1: it adds that itself. /status shows which URL it uses; the same variables may stand under env in ~/.claude/settings.json.",
      "It sends many thousand tokens before the first question: take a model that calls tools, with --ctx 32768 or more.",
    ],
  },
  {
    name: "open-webui",
    title: "Open WebUI",
    otherNames: ["openwebui", "webui"],
    api: "openai",
    documentation: "https://docs.openwebui.com",
    snippets: (target) => [
      {
        where: "a shell on this machine (Linux, with Docker); then open http://127.0.0.1:8080",
        language: "sh",
        text: [
          "docker run -d --name open-webui --network=host --restart always \\",
          "  -v open-webui:/app/backend/data \\",
          `  -e ${shellWord(`OPENAI_API_BASE_URL=${openaiUrl(target)}`)} -e ${shellWord(`OPENAI_API_KEY=${target.key}`)} \\`,
          "  ghcr.io/open-webui/open-webui:main",
        ].join("\n"),
      },
      {
        where: "or without Docker",
        language: "sh",
        text: [
          "pip install open-webui",
          exported({ OPENAI_API_BASE_URL: openaiUrl(target), OPENAI_API_KEY: target.key }),
          "open-webui serve",
        ].join("\n"),
      },
    ],
    notes: [
      "In one that runs already: Admin Settings, Connections, OpenAI API; what is saved there outranks the variables.",
      "A container without --network=host does not reach 127.0.0.1: start the node with --api-host 0.0.0.0, and give its address and a key.",
    ],
  },
  {
    name: "aider",
    title: "aider",
    otherNames: [],
    api: "openai",
    documentation: "https://aider.chat/docs/llms/openai-compat.html",
    snippets: (target) => [
      {
        where: "a shell, in your project",
        language: "sh",
        text: [
          exported({ OPENAI_API_BASE: openaiUrl(target), OPENAI_API_KEY: target.key }),
          `aider --model ${shellWord(`openai/${target.model}`)}`,
        ].join("\n"),
      },
    ],
    notes: ["openai/ before the model's id says how it is spoken to; it is no part of the id."],
  },
  {
    name: "continue",
    title: "Continue (VS Code and its forks, JetBrains)",
    otherNames: ["continue-dev"],
    api: "openai",
    documentation: "https://docs.continue.dev/customize/model-providers/top-level/openai",
    snippets: (target) => [
      {
        where: "~/.continue/config.yaml",
        language: "yaml",
        text: [
          "name: clusterd",
          "version: 0.0.1",
          "schema: v1",
          "models:",
          `  - name: ${quoted(`${target.model} (clusterd)`)}`,
          "    provider: openai",
          `    model: ${quoted(target.model)}`,
          `    apiBase: ${quoted(openaiUrl(target))}`,
          `    apiKey: ${quoted(target.key)}`,
          "    roles: [chat, edit, apply]",
        ].join("\n"),
      },
    ],
    notes: ["There is a config.yaml already? Add the entry to its models."],
  },
  {
    name: "zed",
    title: "Zed",
    otherNames: [],
    api: "openai",
    documentation: "https://zed.dev/docs/ai/use-api-access",
    snippets: (target) => [
      {
        where: "Zed's settings.json (zed: open settings)",
        language: "json",
        text: JSON.stringify(
          {
            language_models: {
              openai_compatible: {
                clusterd: {
                  api_url: openaiUrl(target),
                  available_models: [
                    { name: target.model, display_name: `${target.model} (clusterd)`, max_tokens: contextOf(target) },
                  ],
                },
              },
            },
          },
          null,
          2,
        ),
      },
      { where: "the shell in which you start zed", language: "sh", text: exported({ CLUSTERD_API_KEY: target.key }) },
    ],
    notes: [
      "The key may be entered in Zed instead (Settings, AI, LLM Providers), which keeps it in the system's keychain.",
      "max_tokens is the context; Zed takes models to call tools unless told otherwise.",
    ],
  },
  {
    name: "vscode",
    title: "VS Code's own chat (1.122 or newer)",
    otherNames: ["vs-code", "copilot"],
    api: "openai",
    documentation: "https://code.visualstudio.com/docs/agent-customization/language-models",
    snippets: (target) => [
      {
        where: "chatLanguageModels.json (Chat: Manage Language Models, Add Models, Custom Endpoint, then the gear)",
        language: "json",
        text: JSON.stringify(
          [
            {
              name: "clusterd",
              vendor: "customendpoint",
              apiType: "chat-completions",
              apiKey: target.key,
              models: [
                {
                  id: target.model,
                  name: `${target.model} (clusterd)`,
                  url: `${openaiUrl(target)}/chat/completions`,
                  toolCalling: true,
                  vision: false,
                  maxInputTokens: Math.floor(contextOf(target) * (1 - ANSWER_SHARE)),
                  maxOutputTokens: Math.floor(contextOf(target) * ANSWER_SHARE),
                },
              ],
            },
          ],
          null,
          2,
        ),
      },
    ],
    notes: ["A real key is better entered when it asks for one than written here: VS Code then keeps it as a secret."],
  },
  {
    name: "cline",
    title: "Cline, Roo Code, Kilo Code (VS Code and its forks)",
    otherNames: ["roo", "roo-code", "kilo", "kilo-code"],
    api: "openai",
    documentation: "https://docs.cline.bot/provider-config/openai-compatible",
    snippets: (target) => [
      {
        where: "its settings (the gear in its panel)",
        language: "text",
        text: [
          "API Provider    OpenAI Compatible",
          `Base URL        ${openaiUrl(target)}`,
          `API Key         ${target.key}`,
          `Model ID        ${target.model}`,
          `Context Window  ${contextOf(target)}`,
        ].join("\n"),
      },
    ],
    notes: ["It works by tools and long prompts: take a model that calls tools, with --ctx 32768 or more."],
  },
  {
    name: "cursor",
    title: "Cursor and other forks of VS Code",
    otherNames: ["windsurf", "vscodium", "forks"],
    api: "openai",
    documentation: "https://docs.cline.bot/provider-config/openai-compatible",
    snippets: () => [],
    notes: [
      "Cursor's own chat sends what you ask through Cursor's servers, which do not reach a machine at home.",
      "Extensions ask from your machine, in every fork that takes them: clusterd connect cline, or clusterd connect continue.",
    ],
  },
];
