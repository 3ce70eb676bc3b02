import type { Command } from "./arguments/command.ts";
import { GLOBAL_FLAGS } from "./arguments/global-flags.ts";
import type { Flag } from "./arguments/flag.ts";
import type { Style } from "./text/style.ts";

/** `clusterd --help`. */
export function overview(table: readonly Command[], style: Style): string[] {
  const width = Math.max(...table.map((row) => row.name.length));
  return [
    "clusterd runs one language model over the machines you own.",
    "",
    `${style("strong", "Usage")}  clusterd COMMAND [FLAGS]`,
    "",
    ...table.map((row) => `  ${style("accent", row.name.padEnd(width))}  ${row.summary}`),
    "",
    "Every command takes --home DIR, --json and --help. Start with: clusterd join",
  ];
}

/** `clusterd COMMAND --help`. */
export function commandHelp(row: Command, style: Style): string[] {
  const words = row.positionals.map(({ name, required, rest }) => (required ? name : `[${name}${rest === true ? " …" : ""}]`));
  const flags = [...Object.entries(row.flags), ...Object.entries(GLOBAL_FLAGS)].map(
    ([name, flag]) => [flagText(name, flag), flag.summary] as const,
  );
  const width = Math.max(...flags.map(([text]) => text.length), ...row.positionals.map(({ name }) => name.length));
  return [
    `${row.name}: ${row.summary}`,
    ...(row.about === undefined ? [] : ["", row.about]),
    "",
    `${style("strong", "Usage")}  clusterd ${[row.name, ...words].join(" ")} [FLAGS]`,
    "",
    ...row.positionals.map(({ name, summary }) => `  ${style("accent", name.padEnd(width))}  ${summary}`),
    ...flags.map(([text, summary]) => `  ${style("accent", text.padEnd(width))}  ${summary}`),
    "",
    style("strong", "Examples"),
    ...row.examples.map(([line, what]) => `  ${line}   ${style("quiet", `# ${what}`)}`),
  ];
}

function flagText(name: string, flag: Flag<unknown>): string {
  const short = flag.short === undefined ? "" : `-${flag.short}, `;
  return `${short}--${name}${flag.takesValue ? ` ${flag.placeholder}` : ""}`;
}
