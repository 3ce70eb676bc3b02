import { asDeploymentId, asModelId, asNodeId } from "@clusterd/wire";
import type { Backend, Route } from "../backend.ts";
import { asRefusal } from "../http-refusal.ts";
import { UPSTREAM_CHOICES_AT_ONCE } from "../limits.ts";
import { generate, type GenerationOptions } from "../relay/generation.ts";
import type { GenerationRequest } from "../request/generation-request.ts";
import { askUpstream, type AskUpstreamOptions } from "./ask-upstream.ts";
import { upstreamPath } from "./upstream-fields.ts";
import { isForUpstream } from "./upstream-policy.ts";
import { neitherServes, upstreamForm } from "./upstream-refusal.ts";
import type { UpstreamChoice } from "./upstream.ts";

export interface FallBackOptions extends AskUpstreamOptions {
  /** What may be asked instead; null: nothing. */
  readonly choice: UpstreamChoice | null;
  /** Told that it is asked now. */
  readonly onUpstream: (choice: UpstreamChoice) => void;
}

/**
 * Generates here, and where the cluster cannot serve, at an upstream. Only what has sent nothing yet may change over: an answer from
 * elsewhere says so in its headers, and a stream whose waiting has been told of has had its headers already.
 */
export async function generateOrFallBack(
  request: GenerationRequest,
  options: GenerationOptions,
  { choice, onUpstream, ...asking }: FallBackOptions,
): Promise<Response> {
  try {
    return await generate(request, options);
  } catch (error) {
    const here = asRefusal(error);
    if (choice === null || !isForUpstream(here) || !isPlain(request) || options.client.aborted) throw error;
    const { name } = choice.upstream;
    onUpstream(choice);
    const form = upstreamForm(name, request.form, request.includeUsage);
    try {
      const backend = upstreamBackend(options.backend, choice, asking);
      return await generate({ ...request, form }, { ...options, backend, ready: async () => upstreamRoute(choice) });
    } catch (thrown) {
      throw neitherServes(name, here, thrown);
    }
  }
}

/** Not so where the engine is asked in another way than OpenAI's own, and its answer put into that. */
function isPlain({ path, jobs, forRoute }: GenerationRequest): boolean {
  return upstreamPath(path) !== null && forRoute === undefined && jobs.every(({ reshape }) => reshape === undefined);
}

/** The node as the relay sees it, with an upstream in the place of its engines. */
function upstreamBackend(backend: Backend, choice: UpstreamChoice, asking: AskUpstreamOptions): Backend {
  return {
    ...backend,
    routes: () => [],
    route: () => null,
    fetchEngine: (_, request) => askUpstream(choice, request, asking),
  };
}

function upstreamRoute({ upstream, theirModel }: UpstreamChoice): Route {
  return {
    model: asModelId(theirModel),
    deployment: asDeploymentId(`upstream/${upstream.name}`),
    phase: "ready",
    reason: null,
    head: { id: asNodeId(`upstream/${upstream.name}`), name: upstream.name },
    context: 0,
    slots: UPSTREAM_CHOICES_AT_ONCE,
    work: { active: 0, waiting: 0 },
    createdSeconds: 0,
  };
}
