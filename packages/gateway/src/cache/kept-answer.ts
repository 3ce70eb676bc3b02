import type { AnswerForm } from "../relay/answer-form.ts";
import type { AnswerRecording, KeptAnswer } from "./answer-cache.ts";

const PART_BYTES: number = 64 * 1024;

/** A kept answer again, byte for byte; as a stream it leaves as fast as its client reads. */
export function replay({ contentType, bytes }: KeptAnswer, stream: boolean): Response {
  if (!stream) return new Response(new Uint8Array(bytes), { headers: { "content-type": contentType } });
  let at = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const part = bytes.subarray(at, at + PART_BYTES);
        at += part.length;
        if (part.length > 0) controller.enqueue(new Uint8Array(part));
        if (at >= bytes.length) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, {
    headers: { "content-type": contentType, "cache-control": "no-cache", "x-accel-buffering": "no" },
  });
}

/** A form whose streams are recorded: without their signs of life, and only those that come to their end. */
export function recordedForm(form: AnswerForm, recording: AnswerRecording, key: () => string): AnswerForm {
  return {
    ...form,
    writer() {
      const writer = form.writer();
      const recorded = (bytes: Uint8Array | null): Uint8Array | null => {
        if (bytes !== null) recording.add(bytes);
        return bytes;
      };
      return {
        ...writer,
        event: (event) => recorded(writer.event(event)),
        failed(refusal) {
          recording.drop();
          return writer.failed(refusal);
        },
        end() {
          const bytes = recorded(writer.end());
          recording.finish(key());
          return bytes;
        },
      };
    },
  };
}
