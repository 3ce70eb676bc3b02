import { sameModel, type KeyGrant } from "@clusterd/wire";
import type { Backend } from "./backend.ts";
import type { Caller } from "./gateway-env.ts";
import { HttpRefusal } from "./http-refusal.ts";
import type { Keys } from "./keys.ts";

const MODEL_SHOWN_MAX = 200;
/** Requests that a key is counted for: those that make an engine work. */
const COUNTED = /^\/v1\/(?!messages\/count_tokens$|models(?:\/|$))|^\/api\/(?:chat|generate|embed|embeddings)$/;
/** Posts of the cluster's routes that change nothing, and what is read there but tells more than a user needs. */
const CONTROL_FREE = new Set(["/cluster/v1/plan"]);
const CONTROL_READS = new Set(["/cluster/v1/keys", "/cluster/v1/logs"]);
/** Of Ollama's API: what reads. */
const OLLAMA_FREE = /^\/api\/(?:chat|generate|embed|embeddings|show)$/;

function isControl(method: string, path: string): boolean {
  const changes = method !== "GET" && method !== "HEAD";
  if (path.startsWith("/cluster/")) return changes ? !CONTROL_FREE.has(path) : CONTROL_READS.has(path);
  return changes && path.startsWith("/api/") && !OLLAMA_FREE.test(path);
}

/** Refuses what a key may not do at all, or not now; a request that is let through has been counted. */
export function checkLimits(grant: KeyGrant, keys: Pick<Keys, "take">, method: string, path: string): void {
  if (isControl(method, path) && !grant.mayControl) {
    throw new HttpRefusal(
      403,
      "control_not_allowed",
      `The API key ${JSON.stringify(grant.name)} may use models, not the cluster.`,
    );
  }
  if (method !== "POST" || !COUNTED.test(path)) return;
  const over = keys.take(grant.id);
  if (over === null) return;
  const per = over.limit === "requests" ? `${over.max} requests per minute` : `${over.max} tokens per day (UTC)`;
  throw new HttpRefusal(
    429,
    over.limit === "requests" ? "rate_limit_exceeded" : "insufficient_quota",
    `The API key ${JSON.stringify(grant.name)} has its limit of ${per}. Try again in ${over.retryAfterSeconds} s.`,
    {
      headers: {
        "retry-after": String(over.retryAfterSeconds),
        // Nobody waits for midnight: OpenAI's clients try again unless told not to.
        ...(over.limit === "tokens" ? { "x-should-retry": "false" } : {}),
      },
    },
  );
}

/** Whether a key names one of these: a model's id, an alias, or what a request calls it. */
export function mayUse({ models }: Pick<Caller, "models">, ...names: readonly string[]): boolean {
  if (models === null) return true;
  const allowed = new Set(models.map((model) => model.toLowerCase()));
  return names.some((name) => allowed.has(name.toLowerCase()));
}

type Known = Pick<Backend, "route" | "known" | "aliases">;

/** Whether one of a key's names means a model. An alias does not: where it leads may change, and the key is for the alias alone. */
export function meansModel({ models }: Pick<Caller, "models">, backend: Known, model: string): boolean {
  const aliases = new Set(backend.aliases.list().map(({ alias }) => alias.toLowerCase()));
  return (models ?? []).some((name) => {
    if (aliases.has(name.toLowerCase())) return false;
    const meant = backend.route(name)?.model ?? backend.known(name);
    return meant !== null && sameModel(meant, model);
  });
}

/** Refuses a model that the request's key is not for, before anything is done for it. */
export function checkModel(caller: Caller, asked: string, backend: Known): void {
  if (caller.models === null) return;
  const model = backend.route(asked)?.model ?? backend.known(asked) ?? asked;
  if (mayUse(caller, asked, model) || meansModel(caller, backend, model)) return;
  const shown = JSON.stringify(model.slice(0, MODEL_SHOWN_MAX));
  throw new HttpRefusal(
    403,
    "model_not_allowed",
    `The API key ${JSON.stringify(caller.name)} is not for the model ${shown}. It is for: ${caller.models.join(", ")}.`,
    { param: "model" },
  );
}
