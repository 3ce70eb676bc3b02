import type { Backend } from "../backend.ts";
import type { JsonObject } from "../json-body.ts";
import { invalidField } from "../request/field-rules.ts";
import { modelOf } from "../request/generation-request.ts";

/** What Ollama's clients add to names: where a model is from, and a tag that means none in particular. */
const ADDED = /^(?:hf\.co|huggingface\.co)\/|:latest$/gi;

/** The model a body names, in either of the two fields that Ollama has had for it. */
export function namedModel(body: JsonObject): string {
  return modelOf(body["model"] === undefined && body["name"] !== undefined ? { model: body["name"] } : body);
}

/** The name under which a model is known here: as it was sent, else without what Ollama's clients add. */
export function plainName(backend: Pick<Backend, "route" | "known" | "aliases">, sent: string): string {
  if (backend.route(sent) !== null || backend.known(sent) !== null || backend.aliases.meant(sent, null) !== sent) return sent;
  const plain = sent.replace(ADDED, "");
  if (plain === "") throw invalidField("model", "is missing");
  return plain;
}
