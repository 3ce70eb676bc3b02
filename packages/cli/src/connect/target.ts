import { networkInterfaces } from "node:os";
import { isIPv6 } from "node:net";
import { ClusterdError, type ClusterState } from "@clusterd/wire";
import { findDeployment, findDeployments } from "../model-ref.ts";
import type { ConnectTarget } from "./client-guide.ts";

/** Stands for a key that has to be made first. */
export const KEY_TO_MAKE = "YOUR_KEY";
/** Where none is needed clients want some text all the same. */
export const KEY_UNNEEDED = "none";

/** An address under which others reach this machine, where its API listens at all of them. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return all.find(({ internal, family }) => !internal && family === "IPv4")?.address ?? "127.0.0.1";
}

/** Where clients find an API that listens at this URL. */
export function originOf(api: string, address: () => string = ownAddress): string {
  const url = new URL(api);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (host !== "0.0.0.0" && host !== "::") return url.origin;
  const own = address();
  return `http://${isIPv6(own) ? `[${own}]` : own}:${url.port}`;
}

/** A model to put into the lines: the one asked for, else what is ready, else one that a request would load. Null: there is none. */
export function chooseModel(state: ClusterState, wanted: string | null): Pick<ConnectTarget, "model" | "context"> | null {
  if (wanted !== null) {
    const deployed = findDeployment(state, wanted);
    const isName = (id: string): boolean => id.toLowerCase() === wanted.toLowerCase();
    const known = state.models.find(({ id, aliases }) => isName(id) || aliases.some(isName));
    if (deployed === undefined && known === undefined)
      throw new ClusterdError("not_found", `There is no model ${JSON.stringify(wanted)} in the cluster.`, {
        next: `Models: ${state.models.map(({ id }) => id).join(", ") || "none; fetch one with clusterd pull hf:OWNER/REPO"}`,
      });
    return { model: deployed?.model ?? known?.id ?? wanted, context: deployed?.context ?? null };
  }
  const ready = state.deployments.find((deployment) => deployment.state === "ready");
  if (ready !== undefined) return { model: ready.model, context: ready.context };
  const [first] = state.models;
  return first === undefined ? null : { model: first.id, context: findDeployments(state, first.id)[0]?.context ?? null };
}
