import { command, type Command } from "../arguments/command.ts";
import { findDaemon } from "../api/find-daemon.ts";
import { whole } from "../arguments/flag.ts";
import { printable } from "../text/printable.ts";

const LINES_DEFAULT = 200;
const LINES_MAX = 2_000;

export const engineCommand: Command = command({
  name: "engine",
  summary: "the llama.cpp that this node runs, built if it is not there yet",
  positionals: [],
  flags: {},
  examples: [["clusterd engine --json", "where it lies and what it can use"]],
  async run(context) {
    const { ensureEngine } = await import("@clusterd/daemon/engine");
    const engine = await ensureEngine({
      signal: context.signal,
      onProgress: ({ step, fraction }) =>
        context.terminal.progress(
          `engine: ${step}${fraction === null ? "" : ` ${Math.round(fraction * 100)} %`}`,
          `engine: ${step}`,
        ),
    });
    context.terminal.clearProgress();
    const { dir, llamaServer, rpcServer, llamaCpp, rpcProtocol, fingerprint, devices } = engine;
    if (context.json) {
      context.terminal.printJson({ dir, llamaServer, rpcServer, llamaCpp, rpcProtocol, fingerprint, devices });
      return;
    }
    context.terminal.print([
      `llama.cpp ${llamaCpp}, RPC protocol ${rpcProtocol}`,
      `folder       ${dir}`,
      `fingerprint  ${fingerprint}`,
      `devices      ${devices.length === 0 ? "CPU only" : devices.map((device) => `${device.id} (${printable(device.name)})`).join(", ")}`,
    ]);
  },
});

export const logsCommand: Command = command({
  name: "logs",
  summary: "what this node's daemon has logged",
  positionals: [],
  flags: { lines: whole("N", `how many of the last lines (default ${LINES_DEFAULT})`, { min: 1, max: LINES_MAX }) },
  examples: [["clusterd logs --lines 50", "the last ones"]],
  async run(context, { flags }) {
    const client = await findDaemon(context.home, context.signal);
    const answer = (await client.get(`/cluster/v1/logs?lines=${flags.lines ?? LINES_DEFAULT}`)) as { lines: readonly string[] };
    if (context.json) context.terminal.printJson(answer);
    else context.terminal.print(answer.lines.map(printable));
  },
});
