import type { PlanResult } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { text } from "../arguments/flag.ts";
import { EXIT } from "../exit-codes.ts";
import { absoluteRef } from "../model-ref.ts";
import { planLines } from "../views/plan-view.ts";
import { resolve } from "node:path";
import { parsePin, placeBody, PLACE_FLAGS } from "./place-flags.ts";

export const planCommand: Command = command({
  name: "plan",
  summary: "where a model's layers would go, how fast it would be, and why",
  about: "Plans for the running cluster, or with --nodes for an inventory file, which needs no daemon.",
  positionals: [{ name: "REF", required: true, summary: "a GGUF's path, a known model's name, or an alias", completes: "file" }],
  flags: { ...PLACE_FLAGS, nodes: text("FILE", "plan for the machines of an inventory file", { completes: "file" }) },
  examples: [
    ["clusterd plan demo", "for the running cluster"],
    ["clusterd plan model.gguf --nodes inventory.json --ctx 8192", "for machines one does not own yet"],
  ],
  async run(context, { args, flags }) {
    const ref = absoluteRef(args[0] ?? "", context.cwd);
    const { explainPlan, planOffline } = await import("@clusterd/daemon/offline");
    const { nodes, pin, ...rest } = flags;
    const body = placeBody({ ...rest, pin }, context.cwd);
    const result =
      nodes === undefined
        ? ((await (
            await findDaemon(context.home, context.signal)
          ).post("/cluster/v1/plan", { model: ref, ...body })) as PlanResult)
        : await planOffline({
            ...body,
            ref,
            inventoryFile: resolve(context.cwd, nodes),
            home: context.home,
            pin: pin.map(parsePin),
          });
    if (context.json) context.terminal.printJson(result);
    else context.terminal.print(planLines(result, explainPlan(result), context.terminal.style));
    return result.feasible ? EXIT.done : EXIT.doesNotFit;
  },
});
