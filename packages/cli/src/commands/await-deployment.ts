import { ClusterdError, type DeploymentView, type ErrorCode } from "@clusterd/wire";
import { watchState } from "../api/watch-state.ts";
import type { Client } from "../api/client.ts";
import type { Context } from "../context.ts";
import { isErrorCode } from "../exit-codes.ts";
import { findDeployment } from "../model-ref.ts";
import { progressLine } from "../views/deployments-view.ts";

/** Waits, showing progress, until a model is ready (a token has come out). Throws its failure. */
export async function awaitReady(context: Context, client: Client, model: string): Promise<DeploymentView> {
  const { terminal, signal } = context;
  const stop = new AbortController();
  const onAbort = (): void => stop.abort();
  signal.addEventListener("abort", onAbort, { once: true });
  let seen = false;
  try {
    for await (const state of watchState(client, stop.signal)) {
      const deployment = findDeployment(state, model);
      if (deployment === undefined) {
        if (seen) throw new ClusterdError("not_found", `${model} was unloaded while it was awaited.`);
        continue;
      }
      seen = true;
      if (deployment.state === "ready") return deployment;
      if (deployment.state === "failed") throw failureOf(deployment);
      terminal.progress(progressLine(state, deployment, terminal.talkStyle), `${deployment.model}: ${deployment.state}`);
    }
    throw new ClusterdError("interrupted", "Waiting was interrupted; the model goes on loading.", {
      next: "See how far it is with: clusterd ps",
    });
  } catch (error) {
    if (signal.aborted)
      throw new ClusterdError("interrupted", "Waiting was interrupted; the model goes on loading.", {
        next: "See how far it is with: clusterd ps",
      });
    throw error;
  } finally {
    stop.abort();
    signal.removeEventListener("abort", onAbort);
    terminal.clearProgress();
  }
}

function failureOf(deployment: DeploymentView): ClusterdError {
  const [, code, message] = /^([a-z_]+): (.*)$/s.exec(deployment.reason ?? "") ?? [];
  const known: ErrorCode = isErrorCode(code) ? code : "failed";
  return new ClusterdError(known, `${deployment.model} failed: ${message ?? deployment.reason ?? "no reason was given"}`);
}
