import { command, type Command } from "../arguments/command.ts";
import { GLOBAL_FLAGS } from "../arguments/global-flags.ts";
import { usageError } from "../arguments/usage-error.ts";

/** A shell's completion script, made from the command table. */
export function completionCommand(table: () => readonly Command[]): Command {
  return command({
    name: "completion",
    summary: "a completion script for your shell",
    positionals: [{ name: "SHELL", required: true, summary: "bash, zsh or fish", choices: ["bash", "zsh", "fish"] }],
    flags: {},
    examples: [["source <(clusterd completion bash)", "in ~/.bashrc"]],
    async run(context, { args }) {
      const [shell = ""] = args;
      const rows = table().map((row) => ({
        name: row.name,
        summary: row.summary,
        flags: [...Object.keys(row.flags), ...Object.keys(GLOBAL_FLAGS)].map((flag) => `--${flag}`),
      }));
      const script = shell === "bash" ? bash(rows) : shell === "zsh" ? zsh(rows) : shell === "fish" ? fish(rows) : null;
      if (script === null) throw usageError(`There is no completion for "${shell}".`, "Shells: bash, zsh, fish.");
      if (context.json) context.terminal.printJson({ shell, script });
      else context.terminal.print(script);
    },
  });
}

interface Row {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly string[];
}

function bash(rows: readonly Row[]): string {
  const cases = rows.map((row) => `    ${row.name}) COMPREPLY=($(compgen -W "${row.flags.join(" ")}" -f -- "$word")) ;;`);
  return [
    "_clusterd() {",
    "  local word=${COMP_WORDS[COMP_CWORD]}",
    `  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "${rows.map((row) => row.name).join(" ")}" -- "$word")); return; fi`,
    '  case "${COMP_WORDS[1]}" in',
    ...cases,
    "  esac",
    "}",
    "complete -F _clusterd clusterd",
  ].join("\n");
}

function zsh(rows: readonly Row[]): string {
  return ["#compdef clusterd", "autoload -U +X bashcompinit && bashcompinit", bash(rows)].join("\n");
}

function fish(rows: readonly Row[]): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "\\'")}'`;
  return rows
    .flatMap((row) => [
      `complete -c clusterd -n __fish_use_subcommand -a ${row.name} -d ${quoted(row.summary)}`,
      ...row.flags.map((flag) => `complete -c clusterd -n '__fish_seen_subcommand_from ${row.name}' -l ${flag.slice(2)}`),
    ])
    .join("\n");
}
