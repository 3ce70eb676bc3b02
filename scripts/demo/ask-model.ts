export interface Chat {
  readonly api: string;
  readonly model: string;
  readonly signal: AbortSignal;
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly error?: { readonly message?: string };
}

/** Asks a question and hands on the answer as it streams. Throws where the stream ends in an error. */
export async function askModel(chat: Chat, question: string, onText: (text: string) => void): Promise<void> {
  const response = await fetch(`${chat.api}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: chat.model, messages: [{ role: "user", content: question }], stream: true, temperature: 0 }),
    signal: chat.signal,
  });
  if (!response.ok || response.body === null) throw new Error(`The question was refused: ${await response.text()}`);
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of response.body) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const data = line.startsWith("data: ") ? line.slice("data: ".length) : "";
      if (data === "[DONE]") return;
      if (data === "") continue;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error !== undefined) throw new Error(chunk.error.message ?? "The answer broke off.");
      onText(chunk.choices?.[0]?.delta?.content ?? "");
    }
  }
  throw new Error("The answer ended without its end.");
}
