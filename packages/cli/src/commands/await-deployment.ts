import { ClusterdError, type DeploymentView, type ErrorCode } from "@clusterd/wire";
import { watchState } from "../api/watch-state.ts";
import type { Client } from "../api/client.ts";
import type { Context } from "../context.ts";
import { isErrorCode } from "../exit-codes.ts";
import { findDeployments } from "../model-ref.ts";
import { progressLine } from "../views/deployments-view.ts";

/** Waits, showing progress, until a model is ready (a token has come out), on all its replicas. Throws the failure of any. */
export async function awaitReady(
  context: Context,
  client: Client,
  model: string,
  replicas: number = 1,
): Promise<readonly DeploymentView[]> {
  const { terminal, signal } = context;
  const stop = new AbortController();
  const onAbort = (): void => stop.abort();
  signal.addEventListener("abort", onAbort, { once: true });
  let seen = false;
  let lived = false;
  try {
    for await (const state of watchState(client, stop.signal)) {
      const found = findDeployments(state, model);
      const live = found.filter((deployment) => deployment.state !== "failed");
      if (found.length === 0) {
        if (seen) throw new ClusterdError("not_found", `${model} was unloaded while it was awaited.`);
        continue;
      }
      seen = true;
      const ready = live.filter((deployment) => deployment.state === "ready");
      if (ready.length >= replicas) return ready;
      lived ||= live.length > 0;
      // What went with its head is another one's end, unless what is awaited has been there.
      const hasLeft = ({ head }: DeploymentView): boolean =>
        state.nodes.some(({ id, state: is }) => id === head && is === "left");
      const failed = found.find((deployment) => deployment.state === "failed" && (lived || !hasLeft(deployment)));
      if (failed !== undefined && live.length < replicas) throw failureOf(failed);
      const next = live.find((deployment) => deployment.state !== "ready");
      if (next !== undefined) terminal.progress(progressLine(state, next, terminal.talkStyle), `${next.model}: ${next.state}`);
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
