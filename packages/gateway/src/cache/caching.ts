import type { Route } from "../backend.ts";
import type { GenerationRequest } from "../request/generation-request.ts";
import type { RequestRecord } from "../watch/request-record.ts";
import type { AnswerCache } from "./answer-cache.ts";
import { cacheKey, cacheWishes, isRepeatable } from "./cache-key.ts";
import { recordedForm, replay } from "./kept-answer.ts";

export interface CachingOptions {
  readonly request: GenerationRequest;
  readonly record: RequestRecord;
  readonly caller: string;
  /** The request's `Cache-Control`. */
  readonly control: string | null | undefined;
  /** What would answer, where that is known already. */
  readonly deployed: Route | null;
}

/** One request's dealings with the cache. */
export interface Caching {
  /** The kept answer, where there is one. */
  readonly answer: Response | null;
  /** The request, its answer recorded on its way. */
  readonly request: GenerationRequest;
  /** Told which deployment answers. */
  answeredBy(route: Route): void;
  /** Nothing is kept: the answer is not the engine's. */
  drop(): void;
  /** Takes an answer that came at once, and gives it on. */
  whole(response: Response): Promise<Response>;
}

/** Looks for a request's answer among those kept, and keeps the one it gets. Without a cache, nothing happens. */
export function openCaching(cache: AnswerCache | null, options: CachingOptions): Caching {
  const { request, record, caller, control, deployed } = options;
  const none: Caching = {
    answer: null,
    request,
    answeredBy: () => {},
    drop: () => {},
    whole: async (response) => response,
  };
  const wishes = cacheWishes(control);
  if (cache === null || !wishes.keep || !isRepeatable(request)) return none;
  const keyFor = (route: Route): string => cacheKey({ caller, route: record.route, deployed: route, request });
  const found = deployed === null || !wishes.find ? null : cache.find(keyFor(deployed));
  if (found !== null) {
    record.cache = "hit";
    return { ...none, answer: replay(found, request.stream) };
  }
  if (deployed === null || !wishes.find) cache.pass();
  record.cache = "miss";
  let key = deployed === null ? "" : keyFor(deployed);
  const recording = cache.record(request.stream ? request.form.contentType : "application/json");
  return {
    ...none,
    request: { ...request, form: recordedForm(request.form, recording, () => key) },
    answeredBy(route) {
      key = keyFor(route);
    },
    drop: recording.drop,
    async whole(response) {
      const bytes = await response.bytes();
      recording.add(bytes);
      recording.finish(key);
      return new Response(bytes, response);
    },
  };
}
