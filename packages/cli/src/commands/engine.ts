import { command, type Command } from "../arguments/command.ts";
import { printable } from "../text/printable.ts";

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
