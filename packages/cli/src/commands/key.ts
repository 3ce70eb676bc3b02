import type { KeyView } from "@clusterd/wire";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { text, toggle, whole } from "../arguments/flag.ts";
import { usageError } from "../arguments/usage-error.ts";
import type { Context } from "../context.ts";
import { printable } from "../text/printable.ts";
import { keyLimits, keysLines } from "../views/keys-view.ts";

const ACTIONS = ["create", "list", "revoke"] as const;
const REQUESTS_MAX = 10_000;
const TOKENS_MAX = 1e12;

const CREATE_FLAGS = ["models", "rpm", "tokens-per-day", "private", "admin"] as const;

interface CreateFlags {
  readonly models: string | undefined;
  readonly rpm: number | undefined;
  readonly "tokens-per-day": number | undefined;
  readonly private: boolean;
  readonly admin: boolean;
}

export const keyCommand: Command = command({
  name: "key",
  summary: "API keys: who may use the cluster's models, and how much",
  about:
    "Every node takes every key, and refuses it within seconds of its being revoked. A key is shown once, when it is made; only its " +
    "hash is kept. Keys are needed as soon as a node's API listens beyond its own machine (join --api-host); where they are not, a " +
    "known key's limits hold all the same. A key may use models; the cluster itself (load, approve, keys, …) only with --admin.",
  positionals: [
    { name: "ACTION", required: true, summary: "create, list or revoke", choices: ACTIONS },
    { name: "NAME", required: false, summary: "the key's name; to revoke, its name or id" },
  ],
  flags: {
    models: text("M,…", "create: only these models, by id or alias"),
    rpm: whole("N", "create: so many requests per minute, through each node", { min: 1, max: REQUESTS_MAX }),
    "tokens-per-day": whole("N", "create: so many tokens of prompts and answers per day (UTC), through all nodes", {
      min: 1,
      max: TOKENS_MAX,
    }),
    private: toggle("create: its requests never leave the cluster for an upstream"),
    admin: toggle("create: it may change the cluster as well"),
  },
  examples: [
    ["clusterd key create phone --models stable --rpm 20", "prints the key, this once"],
    ["clusterd key list", "names, limits, when last used"],
    ["clusterd key revoke phone", "refused everywhere within seconds"],
  ],
  async run(context, { args: [action, name], flags }) {
    const isCreate = action === "create";
    const limited = CREATE_FLAGS.find((flag) => flags[flag] !== undefined && flags[flag] !== false);
    if (!isCreate && limited !== undefined) throw usageError(`--${limited} is for "clusterd key create" only.`);
    if (isCreate) return create(context, name, flags);
    if (action === "revoke") return revoke(context, name);
    if (name !== undefined) throw usageError(`"clusterd key list" does not take "${name}".`);
    return list(context);
  },
});

async function create(context: Context, name: string | undefined, flags: CreateFlags): Promise<void> {
  const models = flags.models
    ?.split(",")
    .map((model) => model.trim())
    .filter((model) => model !== "");
  if (models?.length === 0) throw usageError("--models was given no model.");
  const client = await findDaemon(context.home, context.signal);
  const made = (await client.post("/cluster/v1/keys/create", {
    ...(name === undefined ? {} : { name }),
    ...(models === undefined ? {} : { models }),
    ...(flags.rpm === undefined ? {} : { requestsPerMinute: flags.rpm }),
    ...(flags["tokens-per-day"] === undefined ? {} : { tokensPerDay: flags["tokens-per-day"] }),
    private: flags.private,
    admin: flags.admin,
  })) as KeyView & { readonly key: string };
  if (context.json) return context.terminal.printJson(made);
  const limits = keyLimits(made);
  context.terminal.say(`The key ${printable(made.name)}${limits === "" ? "" : ` (${limits})`}. It is shown this once:`);
  context.terminal.print(made.key);
}

async function list(context: Context): Promise<void> {
  const found = (await (await findDaemon(context.home, context.signal)).get("/cluster/v1/keys")) as { keys: readonly KeyView[] };
  if (context.json) context.terminal.printJson(found);
  else context.terminal.print(keysLines(found.keys, context.terminal.style));
}

async function revoke(context: Context, name: string | undefined): Promise<void> {
  if (name === undefined)
    throw usageError('"clusterd key revoke" needs the key\'s name or id.', "See them with: clusterd key list");
  const client = await findDaemon(context.home, context.signal);
  const revoked = (await client.post("/cluster/v1/keys/revoke", { key: name })) as KeyView;
  if (context.json) context.terminal.printJson(revoked);
  else context.terminal.print(`The key ${printable(revoked.name)} (${printable(revoked.id)}) is revoked.`);
}
