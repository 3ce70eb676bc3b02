import { startWorker, type HeadLayers } from "@clusterd/engine";
import { ClusterdError } from "@clusterd/wire";
import type { HeadRunConfig } from "./head-run.ts";

/** What says whether a head guesses with layers of its model that are on other machines otherwise. */
type Guessing = Pick<HeadRunConfig, "deployment" | "engine" | "model" | "threads" | "signal">;

/**
 * The worker for a model's layers for later tokens: on this machine, for a guess made behind a wire would take as long as a token. Nothing
 * where the deployment does not guess with them, or has no remote stage: then they are with the head's own layers. It ends with the stack.
 */
export async function startNextTokenWorker(
  { deployment, engine, model, threads, signal }: Guessing,
  remoteStages: number,
  stack: AsyncDisposableStack,
): Promise<Pick<HeadLayers, "nextTokens">> {
  if (deployment.placement.speculation.type !== "mtp" || remoteStages === 0) return {};
  if (model.nextTokenLayers === 0)
    throw new ClusterdError("model_broken", `The file of ${deployment.model} here has no layers for multi-token prediction.`, {
      next: "Load the model anew, or with --speculation ngram.",
    });
  const worker = stack.use(await startWorker({ engine, threads, deviceId: null, signal }));
  return { nextTokens: { endpoint: `127.0.0.1:${worker.port}` } };
}
