import { usageError } from "./usage-error.ts";

/** One `--flag` of a command: how it is written, explained, completed and read. */
export interface Flag<Value> {
  readonly takesValue: boolean;
  /** One letter for `-x`, where there is one. */
  readonly short: string | undefined;
  /** What stands for the value in help, e.g. `SIZE`; empty for a switch. */
  readonly placeholder: string;
  readonly repeats: boolean;
  readonly summary: string;
  readonly choices: readonly string[];
  readonly completes: "file" | "folder" | undefined;
  /** The texts given on the command line, in order, as a value. Throws a usage error. */
  read(texts: readonly string[], flag: string): Value;
}

type Shape = Partial<Pick<Flag<unknown>, "short" | "completes">>;

function flag<Value>(fields: Partial<Flag<Value>> & Pick<Flag<Value>, "summary" | "read">): Flag<Value> {
  return {
    takesValue: true,
    short: undefined,
    placeholder: "TEXT",
    repeats: false,
    choices: [],
    completes: undefined,
    ...fields,
  };
}

/** A flag that is there or not. */
export function toggle(summary: string, shape: Shape = {}): Flag<boolean> {
  return flag({ ...shape, takesValue: false, placeholder: "", summary, read: (texts) => texts.length > 0 });
}

/** A flag with a value of one's own parsing; the last one given counts. */
export function value<Value>(
  placeholder: string,
  summary: string,
  parse: (text: string, flag: string) => Value,
  shape: Shape = {},
): Flag<Value | undefined> {
  return flag({
    ...shape,
    placeholder,
    summary,
    read: (texts, name) => {
      const last = texts.at(-1);
      return last === undefined ? undefined : parse(last, name);
    },
  });
}

/** A flag with any text but the empty one. */
export function text(placeholder: string, summary: string, shape: Shape = {}): Flag<string | undefined> {
  return value(placeholder, summary, notEmpty, shape);
}

/** A flag that may be given many times. */
export function texts(
  placeholder: string,
  summary: string,
  parse: (text: string, flag: string) => string = notEmpty,
): Flag<readonly string[]> {
  return flag({ placeholder, summary, repeats: true, read: (all, name) => all.map((one) => parse(one, name)) });
}

/** A flag with one of a few words. */
export function choice<const Word extends string>(words: readonly Word[], summary: string): Flag<Word | undefined> {
  const parse = (text: string, name: string): Word => {
    const word = words.find((known) => known === text);
    if (word === undefined) throw usageError(`${name} takes ${words.join(", ")}; it was given "${text}".`);
    return word;
  };
  return { ...value(words.join("|"), summary, parse), choices: words };
}

/** A flag with a whole number within limits. */
export function whole(
  placeholder: string,
  summary: string,
  limits: { readonly min: number; readonly max: number },
  shape: Shape = {},
): Flag<number | undefined> {
  return value(placeholder, summary, (text, name) => wholeNumber(text, name, limits), shape);
}

function wholeNumber(text: string, name: string, { min, max }: { readonly min: number; readonly max: number }): number {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= min && number <= max)) {
    throw usageError(`${name} takes a whole number from ${min} to ${max}; it was given "${text}".`);
  }
  return number;
}

function notEmpty(text: string, name: string): string {
  if (text === "") throw usageError(`${name} was given an empty value.`);
  return text;
}
