import type { ModelId, Placement } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { choice, text, toggle } from "../arguments/flag.ts";
import { absoluteRef } from "../model-ref.ts";
import { layerRange, rate, seconds } from "../text/rate.ts";
import { printable } from "../text/printable.ts";
import { awaitReady } from "./await-deployment.ts";
import { placeBody, PLACE_FLAGS } from "./place-flags.ts";

interface Loaded {
  readonly deployment: string;
  readonly model: ModelId;
  readonly plan: Placement;
}

/** What is foretold, said before it is known. */
function predictedLine({ tokensPerSecond, low, high, timeToFirstTokenMs, promptTokens }: Placement["predicted"]): string {
  const first =
    timeToFirstTokenMs === null ? "" : `, first token after ${seconds(timeToFirstTokenMs)} for a prompt of ${promptTokens}`;
  return `predicted: ${rate(tokensPerSecond)} tokens/s (${rate(low)} to ${rate(high)})${first}`;
}

export const loadCommand: Command = command({
  name: "load",
  summary: "deploy a model over the cluster",
  positionals: [{ name: "REF", required: true, summary: "a GGUF's path, a known model's name, or an alias", completes: "file" }],
  flags: {
    ...PLACE_FLAGS,
    as: text("ALIAS", "another name for requests to use"),
    wait: toggle("return when a token has come out"),
    replan: choice(
      ["now", "ask", "auto"],
      "now: move the running deployment to the best placement for now; auto: let it move by itself when idle (default ask)",
    ),
  },
  examples: [
    ["clusterd load demo --wait", "the bundled model, wherever it runs best"],
    ["clusterd load ~/models/big.gguf --objective spread", "over all nodes"],
    ["clusterd load demo --replan now", "where it should run by what is known now"],
    ["clusterd load big.gguf --draft small.gguf", "a small model guesses ahead: fewer walks over slow links"],
  ],
  async run(context, { args, flags }) {
    const client = await findDaemon(context.home, context.signal);
    const { as, wait, replan, ...place } = flags;
    const body = {
      model: absoluteRef(args[0] ?? "", context.cwd),
      ...placeBody(place, context.cwd),
      ...(as === undefined ? {} : { as }),
      ...(replan === undefined ? {} : { replan }),
    };
    const loaded = (await client.post("/cluster/v1/load", body)) as Loaded;
    context.terminal.say(predictedLine(loaded.plan.predicted));
    const ready = wait ? await awaitReady(context, client, loaded.model) : null;
    if (context.json) {
      context.terminal.printJson({ ...loaded, state: ready === null ? "loading" : "ready" });
      return;
    }
    const stages = loaded.plan.stages.map((stage) => `${printable(stage.node)} ${layerRange(stage)}`).join(", ");
    context.terminal.print(
      `${printable(loaded.model)} ${ready === null ? "is loading" : "is ready"}: ${stages} (head ${printable(loaded.plan.head)})`,
    );
    if (ready !== null)
      context.terminal.print(
        `${rate(ready.measuredTokensPerSecond)} tokens/s measured, ${rate(ready.predictedTokensPerSecond)} predicted`,
      );
  },
});

export const unloadCommand: Command = command({
  name: "unload",
  summary: "take a model off the cluster",
  positionals: [{ name: "MODEL", required: true, summary: "its id, REF or alias" }],
  flags: {},
  examples: [["clusterd unload demo", "returns when its processes are gone"]],
  async run(context, { args }) {
    const client = await findDaemon(context.home, context.signal);
    const { model } = (await client.post("/cluster/v1/unload", { model: absoluteRef(args[0] ?? "", context.cwd) })) as {
      model: string;
    };
    if (context.json) context.terminal.printJson({ model, unloaded: true });
    else context.terminal.print(`${printable(model)} is unloaded.`);
  },
});
