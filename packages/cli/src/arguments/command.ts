import type { Context } from "../context.ts";
import type { ExitCode } from "../exit-codes.ts";
import type { Flag } from "./flag.ts";

export interface Positional {
  readonly name: string;
  readonly required: boolean;
  readonly summary: string;
  /** Takes all words that are left. */
  readonly rest?: boolean;
  readonly choices?: readonly string[];
  readonly completes?: "file";
}

export type FlagSet = Readonly<Record<string, Flag<unknown>>>;

export interface Input<Flags extends FlagSet> {
  readonly args: readonly string[];
  readonly flags: { readonly [Name in keyof Flags]: Flags[Name] extends Flag<infer Value> ? Value : never };
}

/** One row of the command table: parsing, help and completion are made from it; its work is loaded only when it is run. */
export interface CommandSpec<Flags extends FlagSet> {
  readonly name: string;
  readonly summary: string;
  /** More for `--help`: a paragraph, without line breaks. */
  readonly about?: string;
  readonly positionals: readonly Positional[];
  readonly flags: Flags;
  readonly examples: readonly (readonly [line: string, what: string])[];
  run(context: Context, input: Input<Flags>): Promise<ExitCode | void>;
}

export type Command = Omit<CommandSpec<FlagSet>, "run"> & {
  run(context: Context, args: readonly string[], flags: Readonly<Record<string, unknown>>): Promise<ExitCode | void>;
};

/** A row of the table, its flags' types carried over to what runs it. */
export function command<const Flags extends FlagSet>(spec: CommandSpec<Flags>): Command {
  return {
    ...spec,
    run: (context, args, flags) => spec.run(context, { args, flags: flags as Input<Flags>["flags"] }),
  };
}
