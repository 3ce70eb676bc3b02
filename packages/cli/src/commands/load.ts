import { REPLICAS_MAX, type ModelId, type Placement } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { choice, text, toggle, value } from "../arguments/flag.ts";
import { usageError } from "../arguments/usage-error.ts";
import { absoluteRef } from "../model-ref.ts";
import { layerRange, rate, seconds } from "../text/rate.ts";
import { printable } from "../text/printable.ts";
import { awaitReady } from "./await-deployment.ts";
import { placeBody, PLACE_FLAGS } from "./place-flags.ts";

interface Loaded {
  readonly deployment: string;
  readonly model: ModelId;
  readonly plan: Placement;
  readonly replicas: readonly { readonly plan: Placement }[];
}

function replicaCount(given: string, flag: string): number | "auto" {
  if (given === "auto") return given;
  const count = /^\d+$/.test(given) ? Number(given) : Number.NaN;
  if (count >= 1 && count <= REPLICAS_MAX) return count;
  throw usageError(`${flag} takes a number from 1 to ${REPLICAS_MAX}, or auto; it was given "${given}".`);
}

/** The context, and where nobody asked for it, how it came about. */
function contextLine({ context, slots, notes }: Placement): string {
  const chosen = notes.find((note) => note.startsWith(`Context ${context}: `))?.slice(`Context ${context}: `.length);
  const each = slots === 1 ? "" : ` for each of ${slots} slots`;
  return `context: ${context} tokens${each}${chosen === undefined ? "" : `, ${printable(chosen)}`}`;
}

/** What has to be fetched before it can load, and what was done to make that less. */
function fetchLines({ notes }: Placement): readonly string[] {
  return notes.filter((note) => / fetch(es)? |^Layers stay |room on its disk/.test(note)).map((note) => printable(note));
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
  positionals: [
    {
      name: "REF",
      required: true,
      summary: "a GGUF's path, hf:OWNER/REPO[:QUANT], a known model's name, or an alias",
      completes: "file",
    },
  ],
  flags: {
    ...PLACE_FLAGS,
    as: text("ALIAS", "another name for requests to use"),
    replicas: value(
      "N|auto",
      "deploy it on so many sets of machines that share none; auto: on as many as serve more requests (default 1)",
      replicaCount,
    ),
    wait: toggle("return when a token has come out"),
    replan: choice(
      ["now", "ask", "auto"],
      "now: move the running deployment to the best placement for now; auto: let it move by itself when idle (default ask)",
    ),
  },
  examples: [
    ["clusterd load demo --wait", "the bundled model, wherever it runs best"],
    ["clusterd load ~/models/big.gguf --objective spread", "over all nodes"],
    ["clusterd load demo --replicas auto", "on several machines, each serving requests of its own"],
    ["clusterd load demo --replan now", "where it should run by what is known now"],
    ["clusterd load big.gguf --draft small.gguf", "a small model guesses ahead: fewer walks over slow links"],
  ],
  async run(context, { args, flags }) {
    const client = await findDaemon(context.home, context.signal);
    const { as, wait, replan, replicas, ...place } = flags;
    const body = {
      model: absoluteRef(args[0] ?? "", context.cwd),
      ...placeBody(place, context.cwd),
      ...(as === undefined ? {} : { as }),
      ...(replan === undefined ? {} : { replan }),
      ...(replicas === undefined ? {} : { replicas }),
    };
    const loaded = (await client.post("/cluster/v1/load", body)) as Loaded;
    context.terminal.say(contextLine(loaded.plan));
    for (const { plan } of loaded.replicas) context.terminal.say(predictedLine(plan.predicted));
    for (const line of loaded.replicas.flatMap(({ plan }) => fetchLines(plan))) context.terminal.say(line);
    const ready = wait ? await awaitReady(context, client, loaded.model, loaded.replicas.length) : [];
    if (context.json) {
      context.terminal.printJson({ ...loaded, state: wait ? "ready" : "loading" });
      return;
    }
    const is = wait ? "is ready" : "is loading";
    const { replicas: placed } = loaded;
    if (placed.length > 1) context.terminal.print(`${printable(loaded.model)} ${is} ${placed.length} times:`);
    for (const { plan } of placed) {
      const stages = plan.stages.map((stage) => `${printable(stage.node)} ${layerRange(stage)}`).join(", ");
      const what = `${stages} (head ${printable(plan.head)})`;
      context.terminal.print(placed.length > 1 ? `  ${what}` : `${printable(loaded.model)} ${is}: ${what}`);
    }
    for (const { measuredTokensPerSecond, predictedTokensPerSecond } of ready)
      context.terminal.print(`${rate(measuredTokensPerSecond)} tokens/s measured, ${rate(predictedTokensPerSecond)} predicted`);
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
