import { formatBytes } from "@clusterd/daemon/format";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { toggle } from "../arguments/flag.ts";
import { absoluteRef } from "../model-ref.ts";
import { printable } from "../text/printable.ts";

interface Removed {
  readonly model: string;
  readonly bytes: number;
  readonly partBytes: number;
  readonly layers: string | null;
}

export const rmCommand: Command = command({
  name: "rm",
  summary: "delete a pulled model, and parts of one, from this node's home",
  about: "Nothing goes of a model that is deployed here, but with --unused: then the layers that no deployment needs here.",
  positionals: [{ name: "REF", required: true, summary: "its id, or the REF it was pulled by" }],
  flags: { unused: toggle("give back only the layers that no deployment needs on this node") },
  examples: [
    ["clusterd rm hf:unsloth/Qwen3-8B-GGUF:Q8_0", "files of your own elsewhere are never deleted"],
    ["clusterd rm big --unused", "after its layers have moved to other nodes"],
  ],
  async run(context, { args, flags }) {
    const client = await findDaemon(context.home, context.signal);
    const model = absoluteRef(args[0] ?? "", context.cwd);
    const removed = (await client.post("/cluster/v1/rm", { model, ...(flags.unused ? { unused: true } : {}) })) as Removed;
    if (context.json) context.terminal.printJson(removedJson(removed));
    else context.terminal.print(removedText(removed));
  },
});

/** What is usual is left out: of most models there is a whole file and nothing else. */
function removedJson({ model, bytes, partBytes, layers }: Removed): unknown {
  return { model, bytes, ...(partBytes > 0 ? { partBytes } : {}), ...(layers === null ? {} : { layers }), removed: true };
}

function removedText({ model, bytes, partBytes, layers }: Removed): string {
  const free = `${formatBytes(bytes)} are free again`;
  if (layers !== null)
    return layers === ""
      ? `No layers of ${printable(model)} are kept here beyond those that are needed: ${free}.`
      : `Layers ${layers} of ${printable(model)} are given back: ${free}.`;
  const parts = partBytes > 0 && partBytes < bytes ? `, ${formatBytes(partBytes)} of them of its parts` : "";
  return `${printable(model)} is deleted: ${free}${parts}.`;
}
