import { isIP } from "node:net";
import { ClusterdError } from "@clusterd/wire";

/** Where an upstream's key comes from, before it has been read. */
export interface KeySource {
  readonly kind: "none" | "text" | "environment" | "file";
  readonly value: string;
}

/** An upstream as its file describes it. */
export interface UpstreamEntry {
  readonly name: string;
  readonly baseUrl: string;
  readonly key: KeySource;
  readonly models: ReadonlyMap<string, string>;
  readonly fields: readonly string[];
  readonly tokenLimit: "max_tokens" | "max_completion_tokens";
}

const UPSTREAMS_MAX = 16;
const MODELS_MAX = 256;
const FIELDS_MAX = 32;
const TEXT_LENGTH_MAX = 512;
const NAME = /^[\w.-]{1,64}$/;
const FIELD = /^[a-z][\w.]{0,63}$/;
const KEYS = ["apiKey", "apiKeyEnv", "apiKeyFile"] as const;
const KNOWN = new Set<string>(["name", "baseUrl", "models", "insecure", "fields", "tokenLimit", ...KEYS]);
/** What a node sets itself. */
const OWN_FIELDS = new Set(["model", "messages", "prompt", "input", "stream", "stream_options"]);

type Json = Readonly<Record<string, unknown>>;

/** Complains about one field of a file. The value is never shown: it may be a secret. */
type Wrong = (field: string, why: string) => ClusterdError;

/** The upstreams of a configuration file's JSON, every field checked; errors name file and field. */
export function checkUpstreams(json: unknown, file: string): readonly UpstreamEntry[] {
  const wrong: Wrong = (field, why) =>
    new ClusterdError("usage", `${file}: ${field} ${why}.`, { next: "docs/gateway.md has an example of this file." });
  const root = objectAt(json, "the file", wrong);
  refuseOthers(root, new Set(["upstreams"]), "", wrong);
  const { upstreams } = root;
  if (!Array.isArray(upstreams)) throw wrong("upstreams", "must be a list");
  if (upstreams.length > UPSTREAMS_MAX) throw wrong("upstreams", `must not have more than ${UPSTREAMS_MAX} entries`);
  const entries = upstreams.map((value: unknown, at) => entryAt(value, `upstreams[${at}]`, wrong));
  refuseTwice(
    entries.map(({ name }) => name),
    (name) => wrong("upstreams", `has two entries of the name ${JSON.stringify(name)}`),
  );
  refuseTwice(
    entries.flatMap(({ models }) => [...models.keys()]),
    (model) => wrong("upstreams", `names the model ${JSON.stringify(model)} twice; one upstream stands in for it`),
  );
  return entries;
}

function entryAt(value: unknown, at: string, wrong: Wrong): UpstreamEntry {
  const entry = objectAt(value, at, wrong);
  refuseOthers(entry, KNOWN, `${at}.`, wrong);
  const { name, tokenLimit = "max_tokens", insecure = false } = entry;
  if (typeof name !== "string" || !NAME.test(name))
    throw wrong(`${at}.name`, "must be up to 64 letters, digits, dots, dashes or underscores");
  if (typeof insecure !== "boolean") throw wrong(`${at}.insecure`, "must be true or false");
  if (tokenLimit !== "max_tokens" && tokenLimit !== "max_completion_tokens")
    throw wrong(`${at}.tokenLimit`, "must be max_tokens or max_completion_tokens");
  return {
    name,
    baseUrl: addressAt(entry["baseUrl"], `${at}.baseUrl`, insecure, wrong),
    key: keyAt(entry, at, wrong),
    models: modelsAt(entry["models"], `${at}.models`, wrong),
    fields: fieldsAt(entry["fields"] ?? [], `${at}.fields`, wrong),
    tokenLimit,
  };
}

/** Without encryption only to this machine, or where that is said to be meant. */
function addressAt(value: unknown, at: string, insecure: boolean, wrong: Wrong): string {
  const url = typeof value === "string" && value.length <= TEXT_LENGTH_MAX ? URL.parse(value) : null;
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw wrong(at, "must be an address like https://api.example.com/v1");
  if (url.username !== "" || url.password !== "") throw wrong(at, "must not hold a name or a password");
  if (url.search !== "" || url.hash !== "") throw wrong(at, "must end with its path");
  if (url.protocol === "http:" && !insecure && !isThisMachine(url.hostname))
    throw wrong(at, 'is not encrypted: use https, or add "insecure": true where the way there is safe');
  return url.href.replace(/\/+$/, "");
}

function isThisMachine(hostname: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function keyAt(entry: Json, at: string, wrong: Wrong): KeySource {
  const given = KEYS.filter((name) => entry[name] !== undefined);
  const [name] = given;
  if (name === undefined) return { kind: "none", value: "" };
  if (given.length > 1) throw wrong(at, `has ${given.join(" and ")}: the key comes from one place`);
  const value = textAt(entry[name], `${at}.${name}`, wrong);
  if (name === "apiKey") {
    if (!/^[\x21-\x7e]+$/.test(value)) throw wrong(`${at}.apiKey`, "must be of letters, digits and signs without spaces");
    return { kind: "text", value };
  }
  return { kind: name === "apiKeyEnv" ? "environment" : "file", value };
}

function modelsAt(value: unknown, at: string, wrong: Wrong): ReadonlyMap<string, string> {
  const entries = Object.entries(objectAt(value, at, wrong));
  if (entries.length === 0 || entries.length > MODELS_MAX)
    throw wrong(at, `must name 1 to ${MODELS_MAX} models, e.g. {"local-name": "their-model"}`);
  return new Map(
    entries.map(([model, theirs]) => [textAt(model, `${at}: a name`, wrong), textAt(theirs, `${at}.${model}`, wrong)]),
  );
}

function fieldsAt(value: unknown, at: string, wrong: Wrong): readonly string[] {
  if (!Array.isArray(value) || value.length > FIELDS_MAX) throw wrong(at, `must be a list of up to ${FIELDS_MAX} names`);
  return value.map((field: unknown, index) => {
    if (typeof field !== "string" || !FIELD.test(field)) throw wrong(`${at}[${index}]`, "must be a field's name, e.g. top_k");
    if (OWN_FIELDS.has(field)) throw wrong(`${at}[${index}]`, "is sent anyway");
    return field;
  });
}

function objectAt(value: unknown, at: string, wrong: Wrong): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(at, "must be an object");
  return value as Json;
}

function textAt(value: unknown, at: string, wrong: Wrong): string {
  if (typeof value !== "string" || value.trim() === "" || value.length > TEXT_LENGTH_MAX)
    throw wrong(at, `must be a text of up to ${TEXT_LENGTH_MAX} characters`);
  return value.trim();
}

function refuseOthers(object: Json, known: ReadonlySet<string>, at: string, wrong: Wrong): void {
  const other = Object.keys(object).find((name) => !known.has(name));
  if (other !== undefined)
    throw wrong(`${at}${other.slice(0, TEXT_LENGTH_MAX)}`, `is not known; known are ${[...known].join(", ")}`);
}

function refuseTwice(names: readonly string[], wrong: (name: string) => ClusterdError): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name.toLowerCase())) throw wrong(name);
    seen.add(name.toLowerCase());
  }
}
