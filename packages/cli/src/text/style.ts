import { styleText } from "node:util";

export type Tone = "strong" | "quiet" | "good" | "warn" | "bad" | "accent";

/** Puts a tone on a text, or leaves it plain. */
export type Style = (tone: Tone, text: string) => string;

const FORMATS = { strong: "bold", quiet: "dim", good: "green", warn: "yellow", bad: "red", accent: "cyan" } as const;

export const plain: Style = (_tone, text) => text;
export const coloured: Style = (tone, text) => styleText(FORMATS[tone], text, { validateStream: false });

/** What a stream may be given: colours, and lines that are written over. */
export interface StreamManners {
  readonly colours: boolean;
  readonly moves: boolean;
}

/** A terminal gets colours and moving lines unless the environment says otherwise; `FORCE_COLOR` outranks `NO_COLOR`, as in Node. */
export function mannersOf(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): StreamManners {
  const isTerminal = stream.isTTY === true && env["TERM"] !== "dumb";
  const forced = env["FORCE_COLOR"];
  const colours = forced !== undefined && forced !== "" ? forced !== "0" && forced !== "false" : isTerminal && !env["NO_COLOR"];
  const isCi = env["CI"] !== undefined && env["CI"] !== "" && env["CI"] !== "false";
  return { colours, moves: isTerminal && !isCi };
}
