import { readDaemonRecord } from "@clusterd/daemon/home";
import { ClusterdError } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { notRunning } from "../api/not-running.ts";
import { command, type Command } from "../arguments/command.ts";
import { text } from "../arguments/flag.ts";
import { baseUrl } from "../connect/client-guide.ts";
import { findGuide, GUIDES } from "../connect/find-guide.ts";
import { chooseModel, KEY_TO_MAKE, KEY_UNNEEDED, originOf } from "../connect/target.ts";
import { connectLines, guidesLines } from "../views/connect-view.ts";

export const connectCommand: Command = command({
  name: "connect",
  summary: "how to point a client at this cluster: the lines to paste",
  about:
    "For libraries (OpenAI's and Anthropic's SDKs, LangChain, …) and programs (Claude Code, Open WebUI, editors): base URL, a model that exists " +
    "now, and where it all goes. A key is never shown: where this node's API needs one, it says how to make it.",
  positionals: [{ name: "CLIENT", required: false, summary: "which one (default: the list of them)" }],
  flags: { model: text("MODEL", "the model to put into the lines (default: one that is deployed)") },
  examples: [
    ["clusterd connect", "which clients there are"],
    ["clusterd connect claude-code", "what to type for one"],
  ],
  async run(context, { args: [named], flags }) {
    const { terminal, home, signal, json } = context;
    const guide = named === undefined ? null : findGuide(named);
    const client = await findDaemon(home, signal);
    const record = await readDaemonRecord(home);
    if (record === null) throw notRunning(home);
    const origin = originOf(record.api);
    const isKeyNeeded = record.apiKey !== null;
    const key = { needed: isKeyNeeded, make: `clusterd key create ${guide?.name ?? "NAME"}` };
    const chosen = chooseModel(await client.state(), flags.model ?? null);
    if (guide === null) {
      const clients = GUIDES.map(({ name, title, api }) => ({ name, title, api, baseUrl: baseUrl(api, origin) }));
      if (json) terminal.printJson({ clients, key, model: chosen?.model ?? null });
      else terminal.print(guidesLines(clients, { origin, model: chosen?.model ?? null, key }, terminal.style));
      return;
    }
    if (chosen === null)
      throw new ClusterdError("not_found", "There is no model in the cluster yet.", {
        next: "Fetch one (clusterd pull hf:OWNER/REPO), or load a file: clusterd load MODEL.gguf",
      });
    const target = { origin, ...chosen, key: isKeyNeeded ? KEY_TO_MAKE : KEY_UNNEEDED };
    const { name, title, api, documentation, notes } = guide;
    const told = {
      name,
      title,
      api,
      baseUrl: baseUrl(api, origin),
      model: target.model,
      key,
      snippets: guide.snippets(target),
      notes,
      documentation,
    };
    if (json) terminal.printJson(told);
    else terminal.print(connectLines(told, terminal.style));
  },
});
