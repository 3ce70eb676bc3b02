import { formatBytes } from "@clusterd/daemon/format";
import { ClusterdError, type PullEvent } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { toggle } from "../arguments/flag.ts";
import type { Context } from "../context.ts";
import { printable } from "../text/printable.ts";
import { pullLine } from "../views/pulls-view.ts";

export const pullCommand: Command = command({
  name: "pull",
  summary: "fetch a model into this node's home, from members that have it or from a hub",
  about:
    "What members have comes from them, the rest from the hub, and nodes that pull the same at once share the work. The daemon fetches it, by " +
    "ranges, and goes on where an earlier try has stopped; stopping this command does not stop it. " +
    "HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are read where the daemon was started.",
  positionals: [
    { name: "REF", required: true, summary: "hf:OWNER/REPO[:QUANT][@REVISION]; with --all also a model's id or alias" },
  ],
  flags: {
    all: toggle("all of a model that members have between them, as a whole file here"),
    "no-projector": toggle("leave what lets it see images on the hub"),
    cancel: toggle("stop fetching it; what has come is kept"),
  },
  examples: [
    ["clusterd pull hf:unsloth/Qwen3-8B-GGUF", "in Q4_K_M, or the only quantisation there is"],
    ["clusterd pull hf:unsloth/Qwen3-8B-GGUF:Q8_0", "in another one"],
    ["clusterd pull qwen3-8b --all", "a full copy of what members have, in parts or whole, under any of its names"],
  ],
  async run(context, { args, flags }) {
    const client = await findDaemon(context.home, context.signal);
    const ref = args[0] ?? "";
    if (flags.cancel) {
      const { cancelled } = (await client.post("/cluster/v1/pull", { model: ref, cancel: true })) as { cancelled: boolean };
      if (!cancelled) throw new ClusterdError("not_found", `${ref} is not being fetched.`, { next: "See: clusterd status" });
      if (context.json) context.terminal.printJson({ event: "cancelled", model: ref });
      else context.terminal.print(`${printable(ref)} is not fetched any more; what has come is kept.`);
      return;
    }
    try {
      for await (const event of client.lines("/cluster/v1/pull", {
        model: ref,
        all: flags.all,
        projector: !flags["no-projector"],
      }))
        tell(context, ref, event as PullEvent);
    } catch (error) {
      if (!context.signal.aborted) throw error;
      throw new ClusterdError("interrupted", `${ref} goes on being fetched by the daemon.`, {
        next: `See how far it is: clusterd status. Stop it: clusterd pull ${ref} --cancel`,
      });
    } finally {
      context.terminal.clearProgress();
    }
  },
});

function tell({ terminal, json }: Context, ref: string, event: PullEvent): void {
  if (event.event === "failed") {
    const { code, message, next } = event.error;
    throw new ClusterdError(code, message, next === null ? {} : { next });
  }
  if (json) {
    terminal.printJson(event);
    return;
  }
  if (event.event === "progress") {
    const { step, bytes, totalBytes, bytesPerSecond, secondsLeft } = event;
    const view = { ref, step, doneBytes: bytes, totalBytes, bytesPerSecond, secondsLeft };
    const tenth = totalBytes === 0 ? 0 : Math.floor((bytes / totalBytes) * 10) * 10;
    terminal.progress(pullLine(view), `${ref}: ${step} ${tenth} %`);
    return;
  }
  terminal.print(
    `${printable(event.model)} is here: ${printable(event.path)} (${formatBytes(event.bytes)}, sha256 ${event.sha256})`,
  );
}
