import { isObject } from "../json-body.ts";
import { COMPLETION_FORM } from "../request/generation-request.ts";
import type { AnswerForm } from "./answer-form.ts";
import { eventJson } from "./engine-events.ts";
import { mayCount } from "./token-counts.ts";

/** Text completions: the engine puts the count of a stream into its last chunk of text; clients look for it in one of its own. */
export function textForm(includeUsage: boolean): AnswerForm {
  return {
    ...COMPLETION_FORM,
    writer() {
      const writer = COMPLETION_FORM.writer();
      return {
        ...writer,
        event(event) {
          const json = mayCount(event.bytes) ? eventJson(event) : null;
          if (!isObject(json)) return writer.event(event);
          const { usage, choices, ...shared } = json;
          const text = { ...shared, choices };
          const counted = includeUsage && usage !== undefined ? [{ ...shared, choices: [], usage }] : [];
          return Buffer.from([text, ...counted].map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(""));
        },
      };
    },
  };
}
