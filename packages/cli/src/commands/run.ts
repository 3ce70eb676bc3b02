import { createInterface } from "node:readline/promises";
import { ClusterdError, sameModel } from "@clusterd/wire";
import type { Client } from "../api/client.ts";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import type { Context } from "../context.ts";
import { isErrorCode } from "../exit-codes.ts";
import { absoluteRef, findDeployment } from "../model-ref.ts";
import { printableLines } from "../text/printable.ts";
import { awaitReady } from "./await-deployment.ts";

interface Message {
  readonly role: "user" | "assistant";
  readonly content: string;
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null }; readonly finish_reason?: string | null }[];
  readonly error?: { readonly message?: string; readonly code?: string | null };
}

export const runCommand: Command = command({
  name: "run",
  summary: "load a model if needed, and chat with it here",
  positionals: [
    {
      name: "REF",
      required: true,
      summary: "a GGUF's path, hf:OWNER/REPO[:QUANT], a known model's name, or an alias",
      completes: "file",
    },
    { name: "PROMPT", required: false, summary: "one question; without it a chat, or the prompt from stdin", rest: true },
  ],
  flags: {},
  examples: [
    ['clusterd run demo "What is the capital of France?"', "one answer"],
    ["clusterd run demo", "a chat; /bye or Ctrl-D ends it"],
  ],
  async run(context, { args }) {
    const client = await findDaemon(context.home, context.signal);
    const [ref = "", ...words] = args;
    const model = await deployed(context, client, absoluteRef(ref, context.cwd));
    const prompt = words.join(" ");
    if (prompt !== "") await answer(context, client, model, [{ role: "user", content: prompt }], context.signal);
    else if (context.terminal.streams.stdin.isTTY === true && !context.json) await chat(context, client, model);
    else await answer(context, client, model, [{ role: "user", content: await readAll(context) }], context.signal);
  },
});

/** Loads it where it has to be; the name to ask for: an alias as it is, since it may lead to more than one model. */
async function deployed(context: Context, client: Client, ref: string): Promise<string> {
  const known = findDeployment(await client.state(), ref);
  const isAlias = known?.aliases.some((alias) => sameModel(alias, ref)) === true;
  const isDown = known === undefined || known.state === "failed";
  const model = isDown ? ((await client.post("/cluster/v1/load", { model: ref })) as { model: string }).model : known.model;
  if (known?.state !== "ready") await awaitReady(context, client, model);
  return isAlias ? ref : model;
}

/** Streams one answer to stdout and returns it. */
async function answer(
  context: Context,
  client: Client,
  model: string,
  messages: readonly Message[],
  signal: AbortSignal,
): Promise<string> {
  const { terminal } = context;
  let text = "";
  for await (const { data } of client.events("/v1/chat/completions", { body: { model, messages, stream: true }, signal })) {
    if (data === "[DONE]") break;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error !== undefined) {
      if (text !== "" && !context.json) terminal.write("\n");
      throw new ClusterdError(
        isErrorCode(chunk.error.code) ? chunk.error.code : "failed",
        chunk.error.message ?? "The answer broke off.",
      );
    }
    const delta = chunk.choices?.[0]?.delta?.content ?? "";
    if (delta === "") continue;
    text += delta;
    if (context.json) terminal.printJson({ event: "delta", content: delta });
    else terminal.write(printableLines(delta));
  }
  if (context.json) terminal.printJson({ event: "done", model, content: text });
  else terminal.write("\n");
  return text;
}

async function chat(context: Context, client: Client, model: string): Promise<void> {
  const { terminal } = context;
  terminal.say(`Chatting with ${model}. /bye or Ctrl-D ends it, Ctrl-C stops an answer.`);
  const lines = createInterface({ input: terminal.streams.stdin, output: terminal.streams.stderr, prompt: "> " });
  const messages: Message[] = [];
  let current: AbortController | null = null;
  lines.on("SIGINT", () => (current === null ? lines.close() : current.abort()));
  context.signal.addEventListener("abort", () => lines.close(), { once: true });
  lines.prompt();
  for await (const line of lines) {
    const question = line.trim();
    if (question === "/bye") break;
    if (question !== "") {
      messages.push({ role: "user", content: question });
      current = new AbortController();
      try {
        messages.push({
          role: "assistant",
          content: await answer(context, client, model, messages, AbortSignal.any([context.signal, current.signal])),
        });
      } catch (error) {
        messages.pop();
        if (!current.signal.aborted) throw error;
        terminal.say("\n(stopped)");
      }
      current = null;
    }
    lines.prompt();
  }
  lines.close();
}

async function readAll(context: Context): Promise<string> {
  let text = "";
  for await (const chunk of context.terminal.streams.stdin) text += String(chunk);
  if (text.trim() === "") throw new ClusterdError("usage", "There is no prompt: give one as an argument or on stdin.");
  return text;
}
