import type { JsonObject } from "../../json-body.ts";
import { ollamaForm } from "../../relay/ollama-form.ts";
import { completionRequest } from "../completion-request.ts";
import { flag, invalidField, pickFields, refused, type FieldRules } from "../field-rules.ts";
import { modelOf, type GenerationRequest } from "../generation-request.ts";
import { chatOf, withContext } from "./ollama-chat.ts";
import { imageParts, textAt, userContent } from "./ollama-messages.ts";
import { alternativesOf, formatFields, sharedFields, thinkFields } from "./shared-fields.ts";

const REFUSED: FieldRules = {
  template: refused("is not supported: the model's own template is used; `raw` goes without any"),
  context: refused("is not supported: send the conversation to `/api/chat`"),
  width: refused("is not supported: no images are made here", 0),
  height: refused("is not supported: no images are made here", 0),
  steps: refused("is not supported: no images are made here", 0),
};

/** What only a chat's template can do. */
const OF_CHATS = ["system", "images", "format", "think"] as const;

/** A body of `/api/generate`, checked: a chat of one message, or with `raw` or `suffix` a text to go on with as it stands. */
export function ollamaGenerateRequest(body: JsonObject): GenerationRequest {
  pickFields(body, REFUSED);
  const prompt = textAt(body["prompt"], "prompt");
  const suffix = textAt(body["suffix"], "suffix");
  const raw = flag(body["raw"] ?? false, "raw");
  if (raw || suffix !== "") return textOf(body, prompt, suffix, raw ? "raw" : "suffix");
  const system = textAt(body["system"], "system");
  const asked = { role: "user", content: userContent(prompt, imageParts(body["images"], "images")) };
  return chatOf(body, sharedFields(body), {
    messages: system === "" ? [asked] : [{ role: "system", content: system }, asked],
    fields: { ...formatFields(body["format"]), ...thinkFields(body["think"]) },
    alternatives: alternativesOf(body),
    kind: "generate",
    promptParam: "prompt",
  });
}

function textOf(body: JsonObject, prompt: string, suffix: string, why: "raw" | "suffix"): GenerationRequest {
  for (const name of OF_CHATS) {
    const value = body[name] ?? "";
    const empty = value === "" || value === false || (Array.isArray(value) && value.length === 0);
    if (!empty) throw invalidField(name, `cannot be given with \`${why}\`: no template is used`);
  }
  if (alternativesOf(body) !== null) throw invalidField("logprobs", `cannot be given with \`${why}\``);
  const { fields, stream, keepAliveSeconds, checkRoute } = sharedFields(body);
  const model = modelOf(body);
  const completion = completionRequest({
    prompt,
    stream,
    stream_options: { include_usage: true },
    ...(suffix === "" ? {} : { suffix }),
  });
  const form = ollamaForm({ kind: "generate", model, alternatives: 0 });
  const shaped = (request: GenerationRequest): GenerationRequest => ({
    ...request,
    form,
    variant: JSON.stringify([model, request.variant]),
    ...(keepAliveSeconds === undefined ? {} : { keepAliveSeconds }),
    jobs: request.jobs.map((job) => ({ ...job, body: { ...fields, ...job.body } })),
  });
  const { forRoute } = completion;
  return withContext(
    { ...shaped(completion), ...(forRoute === undefined ? {} : { forRoute: (route) => shaped(forRoute(route)) }) },
    checkRoute,
  );
}
