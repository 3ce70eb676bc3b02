import { resolve } from "node:path";
import type { ClusterState, Inventory, PlanResult } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { text, toggle, whole } from "../arguments/flag.ts";
import { usageError } from "../arguments/usage-error.ts";
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { absoluteRef } from "../model-ref.ts";
import { fitsLines } from "../views/fits-view.ts";
import { planLines } from "../views/plan-view.ts";
import { parsePin, placeBody, PLACE_FLAGS, type PlaceInput } from "./place-flags.ts";

const ALTERNATIVES_MAX = 100;
const PROMPT_TOKENS_MAX = 16_777_216;
/** Within so long nobody asks how far it is. */
const QUIET_MS = 1000;

interface PlanInput extends PlaceInput {
  readonly nodes: string | undefined;
  readonly top: number | undefined;
  readonly prompt: number | undefined;
}

export const planCommand: Command = command({
  name: "plan",
  summary: "where a model's layers would go, how fast it would be, and why",
  about:
    "Plans for the running cluster, or with --nodes for an inventory file, which needs no daemon. Of a name of the catalogue and of hf: " +
    "nothing is fetched but the header. --fits tells which models of the catalogue the machines run.",
  positionals: [
    {
      name: "REF",
      required: false,
      summary: "a GGUF's path, hf:OWNER/REPO[:QUANT], a catalogued name such as qwen3-32b:Q4_K_M, or an alias",
      completes: "file",
    },
  ],
  flags: {
    ...PLACE_FLAGS,
    nodes: text("FILE", "plan for the machines of an inventory file", { completes: "file" }),
    fits: toggle("which well-known models fit, largest first, and how fast they are (no REF)"),
    top: whole("N", "show the best N placements besides the one chosen", { min: 1, max: ALTERNATIVES_MAX }),
    prompt: whole("N", "tokens of the prompt whose first answer is predicted (default 512)", { min: 1, max: PROMPT_TOKENS_MAX }),
  },
  examples: [
    ["clusterd plan demo", "for the running cluster"],
    ["clusterd plan model.gguf --nodes inventory.json --ctx 8192", "for machines one does not own yet"],
    ["clusterd plan hf:unsloth/Qwen3-32B-GGUF:Q5_K_M", "for a model one has not fetched yet"],
    ["clusterd plan --fits", "what else this cluster would run"],
  ],
  async run(context, { args, flags }) {
    const { fits, ...rest } = flags;
    if (fits && args.length > 0)
      throw usageError("--fits goes through the catalogue and takes no REF.", "Leave one of the two out.");
    if (fits) return planFits(context, rest);
    const [given] = args;
    if (given === undefined)
      throw usageError(
        '"clusterd plan" needs REF: the model to plan.',
        "For example: clusterd plan demo, or clusterd plan --fits",
      );
    return planOne(context, absoluteRef(given, context.cwd), rest);
  },
});

async function planOne(context: Context, ref: string, flags: PlanInput): Promise<ExitCode> {
  const { nodes, top, prompt } = flags;
  const body = {
    ...placeBody(flags, context.cwd),
    ...(top === undefined ? {} : { top }),
    ...(prompt === undefined ? {} : { promptTokens: prompt }),
  };
  const result =
    nodes === undefined
      ? ((await (await findDaemon(context.home, context.signal)).post("/cluster/v1/plan", { model: ref, ...body })) as PlanResult)
      : await (
          await import("@clusterd/daemon/offline")
        ).planOffline({
          ...body,
          ref,
          inventoryFile: resolve(context.cwd, nodes),
          home: context.home,
          pin: flags.pin.map(parsePin),
          signal: context.signal,
        });
  if (context.json) context.terminal.printJson(result);
  else context.terminal.print(planLines(result, context.terminal.style, top));
  return result.feasible ? EXIT.done : EXIT.doesNotFit;
}

async function planFits(context: Context, flags: PlanInput): Promise<ExitCode> {
  const { nodes, ctx, slots, kv, objective, head, without } = flags;
  const senseless = Object.entries({
    pin: flags.pin[0],
    "flash-attention": flags["flash-attention"],
    draft: flags.draft,
    speculation: flags.speculation,
    top: flags.top,
    prompt: flags.prompt,
  }).find(([, value]) => value !== undefined);
  if (senseless !== undefined)
    throw usageError(`--${senseless[0]} is said of one model, --fits of all.`, `Leave out --${senseless[0]}, or plan for a REF.`);
  const { liveInventory, readInventory, whatFits } = await import("@clusterd/daemon/offline");
  const inventory: Inventory =
    nodes === undefined
      ? liveInventory((await (await findDaemon(context.home, context.signal)).get("/cluster/v1/state")) as ClusterState)
      : await readInventory(resolve(context.cwd, nodes));
  const { terminal } = context;
  const begun = performance.now();
  const tell = (done: number, total: number): void => {
    if (performance.now() - begun > QUIET_MS) terminal.progress(`${done} of ${total} models`, "going through the catalogue");
  };
  const asked = Object.fromEntries(
    Object.entries({ ctx, slots, kv, objective, head }).filter(([, value]) => value !== undefined),
  );
  const report = await whatFits(inventory, { ...asked, without }, tell, context.signal);
  terminal.clearProgress();
  if (context.json) terminal.printJson(report);
  else terminal.print(fitsLines(report, inventory, terminal.style));
  return EXIT.done;
}
