// The clusterd command.
import { defaultHome } from "@clusterd/daemon/home";
import { asClusterdError, type ClusterdError } from "@clusterd/wire";
import { parseCommandLine } from "./arguments/parse-command-line.ts";
import { COMMANDS } from "./commands/table.ts";
import { EXIT, exitCodeOf, type ExitCode } from "./exit-codes.ts";
import { commandHelp, overview } from "./help.ts";
import { createTerminal } from "./terminal.ts";
import { printable } from "./text/printable.ts";

const VERSION = "0.1.0";

const terminal = createTerminal({ stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: process.env });
const abort = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => {
    // The second Ctrl-C does not wait for the clean-up.
    if (abort.signal.aborted && name === "SIGINT") process.exit(EXIT.interrupted);
    abort.abort(name);
  });
}
// Whoever reads our output may stop reading, as `head` does.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? EXIT.done : EXIT.failed));
}

function report(error: ClusterdError, json: boolean): ExitCode {
  const interrupted = abort.signal.aborted;
  terminal.clearProgress();
  if (json)
    terminal.printJson({
      error: {
        code: interrupted ? "interrupted" : error.code,
        message: error.message,
        next: error.next ?? null,
        details: error.details ?? null,
      },
    });
  if (interrupted && error.code !== "interrupted") return EXIT.interrupted;
  terminal.say(`${terminal.talkStyle("bad", "error")}: ${printable(error.message)}`);
  if (error.next !== undefined) terminal.say(`${terminal.talkStyle("quiet", "next")}:  ${printable(error.next)}`);
  return exitCodeOf(error.code);
}

async function main(argv: readonly string[]): Promise<ExitCode> {
  const json = argv.includes("--json");
  try {
    const line = parseCommandLine(argv, COMMANDS);
    if (line.kind === "version") {
      if (json) terminal.printJson({ version: VERSION });
      else terminal.print(VERSION);
      return EXIT.done;
    }
    if (line.kind === "help") {
      const lines = line.command === undefined ? overview(COMMANDS, terminal.style) : commandHelp(line.command, terminal.style);
      if (line.asked) terminal.print(lines);
      else terminal.say(lines);
      return line.asked ? EXIT.done : EXIT.usage;
    }
    const context = { home: defaultHome(line.home), json: line.json, terminal, signal: abort.signal, cwd: process.cwd() };
    return (await line.command.run(context, line.args, line.flags)) ?? EXIT.done;
  } catch (error) {
    return report(asClusterdError(error), json);
  }
}

process.exitCode = await main(process.argv.slice(2));
// A socket kept alive must not keep a finished command.
if (!process.argv.includes("join")) process.exit();
