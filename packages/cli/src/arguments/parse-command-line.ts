import { parseArgs } from "node:util";
import type { Command, FlagSet } from "./command.ts";
import { GLOBAL_FLAGS } from "./global-flags.ts";
import { suggest } from "./suggest.ts";
import { usageError } from "./usage-error.ts";

export type ParsedLine =
  | { readonly kind: "version" }
  | { readonly kind: "help"; readonly command: Command | undefined; readonly asked: boolean }
  | {
      readonly kind: "run";
      readonly command: Command;
      readonly args: readonly string[];
      readonly flags: Readonly<Record<string, unknown>>;
      readonly home: string | undefined;
      readonly json: boolean;
    };

/** Reads a command line against the command table. Throws a usage error that says what to type instead. */
export function parseCommandLine(argv: readonly string[], table: readonly Command[]): ParsedLine {
  const { leading, name, rest } = splitAtCommand(argv);
  if (leading.includes("--version") || leading.includes("-V")) return { kind: "version" };
  if (leading.includes("--help") || leading.includes("-h")) {
    return { kind: "help", command: name === undefined ? undefined : findCommand(name, table), asked: true };
  }
  if (name === undefined) return { kind: "help", command: undefined, asked: false };
  if (name === "help") {
    const topic = rest.find((word) => !word.startsWith("-"));
    return { kind: "help", command: topic === undefined ? undefined : findCommand(topic, table), asked: true };
  }
  const command = findCommand(name, table);
  return parseCommand(command, [...leading, ...rest]);
}

/** Global flags may stand before the command's name: `clusterd --home DIR status`. */
function splitAtCommand(argv: readonly string[]): { leading: string[]; name: string | undefined; rest: string[] } {
  const leading: string[] = [];
  let index = 0;
  for (; index < argv.length; index++) {
    const word = argv[index] ?? "";
    if (!word.startsWith("-")) break;
    const isKnown = ["--json", "--help", "-h", "--version", "-V", "--home"].includes(word) || word.startsWith("--home=");
    if (!isKnown)
      throw usageError(`Unknown flag ${word} before a command.`, "Flags come after the command: clusterd COMMAND --flag");
    leading.push(word);
    if (word === "--home" && index + 1 < argv.length) leading.push(argv[++index] ?? "");
  }
  return { leading, name: argv[index], rest: argv.slice(index + 1) };
}

function findCommand(name: string, table: readonly Command[]): Command {
  const command = table.find((row) => row.name === name);
  if (command !== undefined) return command;
  const names = table.map((row) => row.name);
  const meant = suggest(name, names);
  throw usageError(
    `Unknown command "${name}".`,
    meant === undefined ? "See all commands: clusterd --help" : `Did you mean "${meant}"? All commands: clusterd --help`,
  );
}

function parseCommand(command: Command, words: readonly string[]): ParsedLine {
  const known: FlagSet = { ...command.flags, ...GLOBAL_FLAGS };
  const { texts, args } = collect(command, known, words);
  if (texts.has("help")) return { kind: "help", command, asked: true };
  const flags = Object.fromEntries(
    Object.entries(known).map(([name, flag]) => [name, flag.read(texts.get(name) ?? [], `--${name}`)]),
  );
  checkArguments(command, args);
  return {
    kind: "run",
    command,
    args,
    flags,
    home: flags["home"] as string | undefined,
    json: flags["json"] === true,
  };
}

function collect(command: Command, known: FlagSet, words: readonly string[]): { texts: Map<string, string[]>; args: string[] } {
  const options = Object.fromEntries(
    Object.entries(known).map(([name, flag]) => [
      name,
      {
        type: flag.takesValue ? ("string" as const) : ("boolean" as const),
        ...(flag.short === undefined ? {} : { short: flag.short }),
      },
    ]),
  );
  const { tokens } = parseArgs({ args: [...words], options, strict: false, allowPositionals: true, tokens: true });
  const texts = new Map<string, string[]>();
  const args: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") args.push(token.value);
    if (token.kind !== "option") continue;
    const flag = Object.hasOwn(known, token.name) ? known[token.name] : undefined;
    if (flag === undefined) throw unknownFlag(command, token.rawName, Object.keys(known));
    if (!flag.takesValue && token.value !== undefined) throw usageError(`${token.rawName} takes no value.`);
    if (flag.takesValue && token.value === undefined)
      throw usageError(`${token.rawName} needs a value: ${token.rawName} ${flag.placeholder}`);
    // A value that looks like a flag is nearly always a forgotten value.
    if (flag.takesValue && token.inlineValue === false && token.value?.startsWith("-") && token.value !== "-") {
      throw usageError(
        `${token.rawName} needs a value: ${token.rawName} ${flag.placeholder}`,
        `If "${token.value}" is that value, write ${token.rawName}=${token.value}`,
      );
    }
    texts.set(token.name, [...(texts.get(token.name) ?? []), token.value ?? ""]);
  }
  return { texts, args };
}

function unknownFlag(command: Command, raw: string, known: readonly string[]): Error {
  const meant = suggest(raw.replace(/^-+/, ""), known);
  const help = `clusterd ${command.name} --help`;
  return usageError(
    `Unknown flag ${raw} for "clusterd ${command.name}".`,
    meant === undefined ? `See its flags: ${help}` : `Did you mean --${meant}? All its flags: ${help}`,
  );
}

function checkArguments(command: Command, args: readonly string[]): void {
  const missing = command.positionals.find((positional, index) => positional.required && args[index] === undefined);
  const example = command.examples[0]?.[0];
  if (missing !== undefined) {
    throw usageError(
      `"clusterd ${command.name}" needs ${missing.name}: ${missing.summary}.`,
      example === undefined ? undefined : `For example: ${example}`,
    );
  }
  const takesRest = command.positionals.some((positional) => positional.rest);
  if (!takesRest && args.length > command.positionals.length) {
    const extra = args[command.positionals.length] ?? "";
    throw usageError(
      `"clusterd ${command.name}" does not take "${extra}".`,
      `See how it is used: clusterd ${command.name} --help`,
    );
  }
  for (const [index, positional] of command.positionals.entries()) {
    const given = args[index];
    if (given === undefined || positional.choices === undefined || positional.choices.includes(given)) continue;
    throw usageError(`${positional.name} is one of ${positional.choices.join(", ")}; it was given "${given}".`);
  }
}
