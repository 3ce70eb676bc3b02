import { homedir } from "node:os";
import { basename, join, resolve } from "node:path";
import { sameModel, type ClusterState, type DeploymentView } from "@clusterd/wire";

/** A path means the caller's folder, not the daemon's: paths are sent whole. Names, aliases and `hf:` go as they are. */
export function absoluteRef(ref: string, cwd: string): string {
  if (ref.startsWith("hf:")) return ref;
  if (ref.startsWith("~/")) return join(homedir(), ref.slice(2));
  const isPath = /^\.{0,2}[/\\]/.test(ref) || /\.gguf$/i.test(ref) || /^[a-z]:[/\\]/i.test(ref);
  return isPath ? resolve(cwd, ref) : ref;
}

/** The id a REF's model has in states and requests, as far as the REF alone tells. */
export function idOfRef(ref: string): string {
  if (ref.startsWith("hf:")) return ref.slice(3);
  return /\.gguf$/i.test(ref)
    ? basename(ref)
        .replace(/\.gguf$/i, "")
        .replace(/-\d{5}-of-\d{5}$/, "")
    : ref;
}

/** A model's replicas: the deployments that its id, alias or REF names. */
export function findDeployments(state: ClusterState, ref: string): readonly DeploymentView[] {
  const id = idOfRef(ref);
  const model = state.models.find((known) => sameModel(known.id, id) || known.aliases.some((alias) => sameModel(alias, id)));
  const names = [id, ...(model === undefined ? [] : [model.id])];
  return state.deployments.filter((deployment) =>
    [deployment.model, ...deployment.aliases].some((own) => names.some((name) => sameModel(own, name))),
  );
}

/** One of them: a ready one if there is one, a failed one only where all are. */
export function findDeployment(state: ClusterState, ref: string): DeploymentView | undefined {
  const found = findDeployments(state, ref);
  return found.find(({ state: phase }) => phase === "ready") ?? found.find(({ state: phase }) => phase !== "failed") ?? found[0];
}
