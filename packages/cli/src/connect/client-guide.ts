/** Where a client is to be pointed. */
export interface ConnectTarget {
  /** For example `http://127.0.0.1:2573`. */
  readonly origin: string;
  /** A model that exists, as requests name it. */
  readonly model: string;
  /** Tokens that one request may have; null: not known before it is loaded. */
  readonly context: number | null;
  /** What stands for the key: never one that is real. */
  readonly key: string;
}

/** Lines to paste, and where. */
export interface Snippet {
  /** A file, a page of settings, or a kind of shell or program. */
  readonly where: string;
  readonly language: "sh" | "python" | "javascript" | "json" | "yaml" | "text";
  readonly text: string;
}

/** How one client, or a family of them, is pointed at a cluster. */
export interface ClientGuide {
  /** As typed: `clusterd connect NAME`. */
  readonly name: string;
  readonly title: string;
  readonly otherNames: readonly string[];
  readonly api: "openai" | "anthropic" | "ollama";
  /** The page of its documentation that says so. */
  readonly documentation: string;
  /** Empty where it cannot be pointed anywhere; the notes then say why. */
  snippets(target: ConnectTarget): readonly Snippet[];
  readonly notes: readonly string[];
}

/** The base URL of an API. OpenAI's clients add paths below `/v1`, the others add all of it. */
export function baseUrl(api: ClientGuide["api"], origin: string): string {
  return api === "openai" ? `${origin}/v1` : origin;
}

/** A word of a POSIX shell that means itself, whatever is in it. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A string of JSON, which is one of JavaScript, Python and YAML as well. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

/** Variables for a POSIX shell. */
export function exported(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `export ${name}=${shellWord(value)}`)
    .join("\n");
}
