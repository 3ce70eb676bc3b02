import { statSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join, resolve } from "node:path";
import { modelsNamed, type ClusterState, type DeploymentView } from "@clusterd/wire";

/** A path means the caller's folder, not the daemon's: paths are sent whole. Names, aliases and `hf:` go as they are. */
export function absoluteRef(ref: string, cwd: string): string {
  if (/^hf:/i.test(ref)) return `hf:${ref.slice("hf:".length)}`;
  if (/^~[/\\]/.test(ref)) return join(homedir(), ref.slice(2));
  const isPath = /^\.{0,2}[/\\]/.test(ref) || /\.gguf$/i.test(ref) || /^[a-z]:[/\\]/i.test(ref);
  // `blobs/sha256-…`, say: a name with a slash is a path where there is such a file.
  const isFile = !isPath && /[/\\]/.test(ref) && statSync(resolve(cwd, ref), { throwIfNoEntry: false })?.isFile() === true;
  return isPath || isFile ? resolve(cwd, ref) : ref;
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
  // By any of a model's names; its deployment may go by another.
  const names = [id, ...modelsNamed(id, state.models).map((model) => model.id)];
  const named = state.deployments.map((deployment) => ({ id: deployment.model, aliases: deployment.aliases, deployment }));
  const found = names.map((name) => modelsNamed(name, named)).find((each) => each.length > 0) ?? [];
  return found.map(({ deployment }) => deployment);
}

/** One of them: a ready one if there is one, a failed one only where all are. */
export function findDeployment(state: ClusterState, ref: string): DeploymentView | undefined {
  const found = findDeployments(state, ref);
  return found.find(({ state: phase }) => phase === "ready") ?? found.find(({ state: phase }) => phase !== "failed") ?? found[0];
}
