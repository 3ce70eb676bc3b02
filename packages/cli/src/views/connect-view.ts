import type { ClientGuide, Snippet } from "../connect/client-guide.ts";
import { printable, printableLines } from "../text/printable.ts";
import type { Style } from "../text/style.ts";
import { table } from "../text/table.ts";

/** Whether a key is needed, and the command that makes one. */
export interface KeyHint {
  readonly needed: boolean;
  readonly make: string;
}

interface ListedGuide {
  readonly name: string;
  readonly title: string;
}

export interface ToldGuide extends Pick<ClientGuide, "name" | "title" | "notes" | "documentation"> {
  readonly baseUrl: string;
  readonly model: string;
  readonly key: KeyHint;
  readonly snippets: readonly Snippet[];
}

function keyLine({ needed, make }: KeyHint): string {
  return needed ? `make one, shown once: ${make}` : "any text: none is needed on this machine";
}

/** The clients there are guides for, and what every other one needs to know. */
export function guidesLines(
  guides: readonly ListedGuide[],
  { origin, model, key }: { readonly origin: string; readonly model: string | null; readonly key: KeyHint },
  style: Style,
): string[] {
  return [
    ...table(
      [{ title: "CLIENT" }, { title: "" }],
      guides.map(({ name, title }) => [style("accent", name), title]),
      style,
    ),
    "",
    "The lines for one: clusterd connect CLIENT. For any other:",
    `  OpenAI     ${origin}/v1`,
    `  Anthropic  ${origin}`,
    `  Ollama     ${origin}`,
    `  key        ${keyLine(key)}`,
    `  model      ${model === null ? "none yet: clusterd load REF" : printable(model)}`,
  ];
}

/** What to paste where, for one client. The lines stand alone, so that they can be copied as they are. */
export function connectLines({ title, baseUrl, model, key, snippets, notes, documentation }: ToldGuide, style: Style): string[] {
  return [
    style("strong", title),
    `  base URL  ${baseUrl}`,
    `  key       ${keyLine(key)}`,
    `  model     ${printable(model)}`,
    ...snippets.flatMap(({ where, text }) => ["", style("quiet", `# ${where}`), printableLines(text)]),
    "",
    ...notes.map((note) => style("quiet", note)),
    style("quiet", `More: ${documentation}`),
  ];
}
