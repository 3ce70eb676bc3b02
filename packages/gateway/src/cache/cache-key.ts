import { createHash } from "node:crypto";
import type { Route } from "../backend.ts";
import type { GenerationRequest } from "../request/generation-request.ts";

export interface CacheKeyParts {
  /** Whose request it is: what one has been told is never told to another, not even by its being there at once. */
  readonly caller: string;
  /** Of the HTTP API: each has its own form of answers. */
  readonly route: string;
  /** The run of the engine that would answer. */
  readonly deployed: Route;
  readonly request: GenerationRequest;
}

/**
 * Whether an answer is the only one the engine would give: the likeliest token at every step, one choice. One drawn by chance is one of
 * many, even with a seed: whoever asks again may want another.
 */
export function isRepeatable({ jobs, makes = "text" }: GenerationRequest): boolean {
  return makes === "text" && jobs.length === 1 && jobs[0]?.body["temperature"] === 0;
}

/** Equal for requests that differ in nothing that could change their answer. */
export function cacheKey({ caller, route, deployed, request }: CacheKeyParts): string {
  const { path, stream, includeUsage, jobs, variant = "" } = request;
  const bodies = jobs.map(({ body }) => body);
  const text = JSON.stringify([
    caller,
    route,
    deployed.deployment,
    deployed.run ?? null,
    path,
    stream,
    includeUsage,
    bodies,
    variant,
  ]);
  return createHash("sha256").update(text).digest("base64url");
}

/** What a request's `Cache-Control` wishes: nothing from the cache; nor anything into it. */
export function cacheWishes(header: string | null | undefined): { readonly find: boolean; readonly keep: boolean } {
  const wishes = new Set((header ?? "").split(",").map((wish) => wish.trim().toLowerCase()));
  const keep = !wishes.has("no-store");
  return { keep, find: keep && !wishes.has("no-cache") && !wishes.has("max-age=0") };
}
