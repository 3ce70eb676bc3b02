import { isObject, type JsonObject } from "../../json-body.ts";
import { ollamaDurations } from "../../relay/ollama-form.ts";
import { embeddingRequest } from "../embedding-request.ts";
import { invalidField } from "../field-rules.ts";
import { modelOf, type GenerationRequest } from "../generation-request.ts";
import { keepAliveOf } from "./keep-alive.ts";
import { withContext } from "./ollama-chat.ts";
import { sharedFields } from "./shared-fields.ts";

/** A body of `/api/embed`, or of the older `/api/embeddings`, which takes one text and gives one vector. */
export function ollamaEmbedRequest(body: JsonObject, kind: "embed" | "embeddings"): GenerationRequest {
  const param = kind === "embed" ? "input" : "prompt";
  const input = body[param];
  if (kind === "embeddings" && typeof input !== "string") throw invalidField(param, "must be a string");
  const { dimensions } = body;
  const sinceMs = performance.now();
  const request = embeddingRequest({ input, ...(dimensions === undefined || dimensions === 0 ? {} : { dimensions }) });
  const keepAliveSeconds = keepAliveOf(body["keep_alive"]);
  const model = modelOf(body);
  const { form } = request;
  return withContext(
    {
      ...request,
      promptParam: param,
      ...(keepAliveSeconds === undefined ? {} : { keepAliveSeconds }),
      form: {
        ...form,
        whole(answer) {
          const vectors = vectorsOf(form.whole(answer));
          if (kind === "embeddings") return { embedding: vectors[0] ?? [] };
          const { total_duration, load_duration } = ollamaDurations(sinceMs, null);
          const usage = isObject(answer["usage"]) ? answer["usage"] : {};
          return { model, embeddings: vectors, total_duration, load_duration, prompt_eval_count: usage["prompt_tokens"] ?? 0 };
        },
      },
    },
    sharedFields({ options: body["options"] }).checkRoute,
  );
}

function vectorsOf({ data }: JsonObject): readonly unknown[] {
  return Array.isArray(data) ? data.filter(isObject).map(({ embedding }) => embedding) : [];
}
