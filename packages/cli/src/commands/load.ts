import type { ModelId, Placement } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { text, toggle } from "../arguments/flag.ts";
import { absoluteRef } from "../model-ref.ts";
import { layerRange, rate } from "../text/rate.ts";
import { printable } from "../text/printable.ts";
import { awaitReady } from "./await-deployment.ts";
import { placeBody, PLACE_FLAGS } from "./place-flags.ts";

interface Loaded {
  readonly deployment: string;
  readonly model: ModelId;
  readonly plan: Placement;
}

export const loadCommand: Command = command({
  name: "load",
  summary: "deploy a model over the cluster",
  positionals: [{ name: "REF", required: true, summary: "a GGUF's path, a known model's name, or an alias", completes: "file" }],
  flags: {
    ...PLACE_FLAGS,
    as: text("ALIAS", "another name for requests to use"),
    wait: toggle("return when a token has come out"),
  },
  examples: [
    ["clusterd load demo --wait", "the bundled model, wherever it runs best"],
    ["clusterd load ~/models/big.gguf --objective spread", "over all nodes"],
    ["clusterd load big.gguf --draft small.gguf", "a small model guesses ahead: fewer walks over slow links"],
  ],
  async run(context, { args, flags }) {
    const client = await findDaemon(context.home, context.signal);
    const { as, wait, ...place } = flags;
    const body = {
      model: absoluteRef(args[0] ?? "", context.cwd),
      ...placeBody(place, context.cwd),
      ...(as === undefined ? {} : { as }),
    };
    const loaded = (await client.post("/cluster/v1/load", body)) as Loaded;
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
        `${rate(ready.measuredTokensPerSecond)} measured, ${rate(ready.predictedTokensPerSecond)} predicted`,
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
