import { ClusterdError, type PullEvent } from "@clusterd/wire";
import type { Backend } from "../backend.ts";
import { asRefusal } from "../http-refusal.ts";
import { ollamaError } from "../error-shape.ts";
import type { JsonObject } from "../json-body.ts";
import { NDJSON_TYPE } from "../relay/ollama-form.ts";
import { digestOf } from "./ollama-models.ts";

const HUB = /^(?:hf\.co|huggingface\.co)\//i;
const SUCCESS: JsonObject = { status: "success" };

/** `POST /api/pull`: at once for a model that the cluster has, else fetched from its hub. */
export async function ollamaPull(backend: Backend, sent: string, known: boolean, stream: boolean): Promise<Response> {
  if (known) return stream ? lines(SUCCESS) : Response.json(SUCCESS);
  const events = backend.pulls.follow(HUB.test(sent) ? `hf:${sent.replace(HUB, "")}` : sent);
  // What fails before there is any progress has a status.
  const first = await events.next();
  if (first.done !== true) check(first.value);
  if (stream) return new Response(pulledLines(sent, first, events), { headers: { "content-type": NDJSON_TYPE } });
  for await (const event of events) check(event);
  return Response.json(SUCCESS);
}

function check(event: PullEvent): void {
  if (event.event !== "failed") return;
  const { code, message, next } = event.error;
  throw new ClusterdError(code, message, next === null ? {} : { next });
}

function lines(...objects: readonly JsonObject[]): Response {
  return new Response(objects.map((object) => `${JSON.stringify(object)}\n`).join(""), {
    headers: { "content-type": NDJSON_TYPE },
  });
}

/** A reader that goes ends the telling, not the pull. */
function pulledLines(
  model: string,
  first: IteratorResult<PullEvent, void>,
  events: AsyncGenerator<PullEvent, void>,
): ReadableStream<Uint8Array> {
  let next: IteratorResult<PullEvent, void> | null = first;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = next ?? (await events.next());
        next = null;
        if (done === true) controller.close();
        else controller.enqueue(Buffer.from(`${pullLine(model, value)}\n`));
      },
      cancel: () => void events.return(),
    },
    { highWaterMark: 0 },
  );
}

function pullLine(model: string, event: PullEvent): string {
  if (event.event === "done") return JSON.stringify(SUCCESS);
  if (event.event === "failed") return failedLine(event);
  const { step, bytes, totalBytes } = event;
  if (step !== "fetching") return JSON.stringify({ status: step });
  return JSON.stringify({ status: `pulling ${model}`, digest: `sha256:${digestOf(model)}`, total: totalBytes, completed: bytes });
}

function failedLine(event: PullEvent): string {
  try {
    check(event);
    return "";
  } catch (error) {
    return ollamaError(asRefusal(error));
  }
}
