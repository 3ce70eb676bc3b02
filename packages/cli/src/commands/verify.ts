import { formatBytes } from "@clusterd/daemon/format";
import { ClusterdError, type VerifyEvent } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { toggle } from "../arguments/flag.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { absoluteRef } from "../model-ref.ts";
import { findingLine, verifyProgress } from "../views/verify-view.ts";

export const verifyCommand: Command = command({
  name: "verify",
  summary: "read this node's models again: whether a bit has flipped",
  about:
    "The daemon holds pulled files against the SHA-256 they came with, and parts of models against that of each block. What is wrong is put aside or " +
    "dropped, and fetched again: from members first, from the hub otherwise. Files that nobody has told the SHA-256 of cannot be verified. " +
    "Ends with status 1 where something stays wrong. Ctrl-C stops the reading.",
  positionals: [{ name: "REF", required: false, summary: "a model (default: all that are on this node)" }],
  flags: { "no-repair": toggle("only tell; nothing is changed") },
  examples: [
    ["clusterd verify", "all models on this node"],
    ["clusterd verify hf:unsloth/Qwen3-8B-GGUF:Q8_0 --no-repair", "one, and only look"],
  ],
  async run(context, { args, flags }) {
    const client = await findDaemon(context.home, context.signal);
    const body = {
      ...(args[0] === undefined ? {} : { model: absoluteRef(args[0], context.cwd) }),
      repair: !flags["no-repair"],
    };
    let wrong = 0;
    try {
      for await (const event of client.lines("/cluster/v1/verify", body)) {
        tell(context, event as VerifyEvent);
        wrong += wrongMore(event as VerifyEvent);
      }
    } catch (error) {
      if (!context.signal.aborted) throw error;
      throw new ClusterdError("interrupted", "The models are not read any further.", { next: "Begin anew: clusterd verify" });
    } finally {
      context.terminal.clearProgress();
    }
    return wrong > 0 ? EXIT.failed : EXIT.done;
  },
});

/** Files that stay wrong: damaged ones that nothing was done about, or could be. */
function wrongMore(event: VerifyEvent): number {
  if (event.event === "damaged") return event.action === "kept" ? 1 : 0;
  return event.event === "unrepaired" ? 1 : 0;
}

function tell({ terminal, json }: Context, event: VerifyEvent): void {
  if (json) {
    terminal.printJson(event);
    return;
  }
  if (event.event === "progress") {
    const tenth = event.totalBytes === 0 ? 0 : Math.floor((event.bytes / event.totalBytes) * 10) * 10;
    terminal.progress(
      verifyProgress(event),
      `${event.step === "fetching" ? `fetching ${event.model} again` : "reading models again"}: ${tenth} %`,
    );
    return;
  }
  terminal.clearProgress();
  if (event.event !== "done") {
    terminal.print(findingLine(event, terminal.style));
    return;
  }
  const { files, bytes, damaged, repaired, unverifiable } = event;
  const parts = [
    `${files} read (${formatBytes(bytes)})`,
    damaged === 0 ? "nothing is wrong" : `${damaged} damaged`,
    ...(repaired > 0 ? [`${repaired} repaired`] : []),
    ...(unverifiable > 0 ? [`${unverifiable} could not be verified`] : []),
  ];
  terminal.print(`${parts.join(", ")}.`);
}
