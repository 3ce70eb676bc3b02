import { ClusterdError, type ClusterState, type ModelTensors } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { toggle } from "../arguments/flag.ts";
import type { Context } from "../context.ts";
import { absoluteRef } from "../model-ref.ts";
import { modelsLines } from "../views/models-view.ts";
import { tensorsLines } from "../views/tensors-view.ts";

export const modelsCommand: Command = command({
  name: "models",
  summary: "the models that the nodes have, whole and in parts, and what they take on the disks",
  positionals: [
    { name: "REF", required: false, summary: "with --tensors: a model that this node has, or a part of it", completes: "file" },
  ],
  flags: { tensors: toggle("one model's tensors: where they lie, and of how many the bytes are known") },
  examples: [
    ["clusterd models", "for people"],
    ["clusterd models --json", "for programs"],
    ["clusterd models demo --tensors", "a model's tensors by layer"],
    ["clusterd models demo --tensors --json", "each of them, with type, place, SHA-256 and FNV-1a"],
  ],
  async run(context, { args: [ref], flags }) {
    if (flags.tensors !== (ref !== undefined))
      throw new ClusterdError("usage", flags.tensors ? "--tensors needs a model." : "A model goes with --tensors.", {
        next: `For one model: clusterd models ${ref ?? "demo"} --tensors. For all: clusterd models`,
      });
    await (ref === undefined ? tellModels(context) : tellTensors(context, absoluteRef(ref, context.cwd)));
  },
});

async function tellTensors({ home, signal, json, terminal }: Context, model: string): Promise<void> {
  const client = await findDaemon(home, signal);
  const told = (await client.get(`/cluster/v1/tensors?model=${encodeURIComponent(model)}`)) as ModelTensors;
  if (json) terminal.printJson(told);
  else terminal.print(tensorsLines(told, terminal.style));
}

async function tellModels({ home, signal, json, terminal }: Context): Promise<void> {
  const state = (await (await findDaemon(home, signal)).get("/cluster/v1/state?models=anew")) as ClusterState;
  if (!json) return terminal.print(modelsLines(state, terminal.style));
  terminal.printJson({
    models: state.models,
    parts: state.nodes.flatMap(({ id, held = [] }) => held.map((part) => ({ node: id, ...part }))),
    disks: state.nodes.map(({ id, disk = null }) => ({ node: id, disk })),
  });
}
