import { ClusterdError, type AliasView } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { toggle, value } from "../arguments/flag.ts";
import { usageError } from "../arguments/usage-error.ts";
import { absoluteRef } from "../model-ref.ts";
import { printable } from "../text/printable.ts";
import { aliasesLines, aliasText } from "../views/aliases-view.ts";

interface Canary {
  readonly model: string;
  readonly share: number;
}

/** `MODEL=10%`. Throws a usage error. */
export function parseCanary(given: string): Canary {
  const [, model = "", percent] = /^(.+)=(\d{1,3}(?:\.\d+)?)\s*%$/.exec(given) ?? [];
  const share = Number(percent) / 100;
  if (model !== "" && share > 0 && share <= 1) return { model, share };
  throw usageError(`--canary takes MODEL=SHARE%, e.g. ${model || "big"}=10%; it was given "${given}".`);
}

export const aliasCommand: Command = command({
  name: "alias",
  summary: "further names for models, e.g. stable: list, switch, roll back",
  about:
    "Requests that name an alias go to the model it leads to, from every node; a share of them to its canary, if it has one that is ready. " +
    "A conversation stays with the one of the two that it has begun with. Switching is at once, and no answer that is coming is cut: it ends " +
    "on the model it began on. A model's own name is never an alias.",
  positionals: [
    { name: "NAME", required: false, summary: "the alias; without it all are listed" },
    { name: "MODEL", required: false, summary: "the model it leads to from now on: an id or REF that the nodes know" },
  ],
  flags: {
    canary: value("MODEL=SHARE%", "a second model that this share of the conversations goes to", parseCanary),
    promote: toggle("the canary becomes the model"),
    back: toggle("to where it led before the last change"),
    remove: toggle("there is no such alias any more"),
  },
  examples: [
    ["clusterd alias stable big", "requests for stable go to big"],
    ["clusterd alias stable --canary bigger=10%", "one conversation of ten to bigger"],
    ["clusterd alias stable --promote", "all to bigger"],
    ["clusterd alias stable --back", "as it was before"],
  ],
  async run(context, { args: [alias, model], flags }) {
    const { canary, promote, back, remove } = flags;
    const steps = Object.entries({ promote, back, remove }).flatMap(([name, on]) => (on ? [name] : []));
    const [action] = steps;
    const client = await findDaemon(context.home, context.signal);
    if (alias === undefined || (model === undefined && canary === undefined && action === undefined)) {
      if (action !== undefined || canary !== undefined) throw usageError("Which alias? clusterd alias NAME …");
      const { aliases } = (await client.get("/cluster/v1/aliases")) as { aliases: readonly AliasView[] };
      const wanted = aliases.filter((each) => alias === undefined || each.alias.toLowerCase() === alias.toLowerCase());
      if (alias !== undefined && wanted.length === 0)
        throw new ClusterdError("not_found", `There is no alias ${alias}.`, { next: `Make it: clusterd alias ${alias} MODEL` });
      if (context.json) context.terminal.printJson({ aliases: wanted });
      else context.terminal.print(aliasesLines(wanted, context.terminal.style));
      return;
    }
    if (steps.length > 1 || (action !== undefined && (model !== undefined || canary !== undefined)))
      throw usageError(`--${action} goes alone: clusterd alias ${printable(alias)} --${action}`);
    const ref = (name: string): string => absoluteRef(name, context.cwd);
    const changed = (await client.post("/cluster/v1/aliases", {
      alias,
      action: action ?? "set",
      ...(model === undefined ? {} : { model: ref(model) }),
      ...(canary === undefined ? {} : { canary: { ...canary, model: ref(canary.model) } }),
    })) as AliasView | { readonly removed: true };
    if (context.json) context.terminal.printJson(changed);
    else context.terminal.print("removed" in changed ? `There is no alias ${printable(alias)} any more.` : aliasText(changed));
  },
});
