declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A node: the text form of its libp2p peer id (Ed25519, begins with `12D3KooW`). */
export type NodeId = Branded<"NodeId">;
/** A model as requests name it: file name without `.gguf` and part number, or `OWNER/REPO:QUANT`. Compared without case. */
export type ModelId = Branded<"ModelId">;
/** A model as it is known inside the cluster: SHA-256 (hex) of its GGUF headers, wherever the file lies. */
export type ContentId = Branded<"ContentId">;
/** One deployment of one model: random, made by the node that planned it. */
export type DeploymentId = Branded<"DeploymentId">;

export const asNodeId = (text: string): NodeId => text as NodeId;
export const asModelId = (text: string): ModelId => text as ModelId;
export const asContentId = (text: string): ContentId => text as ContentId;
export const asDeploymentId = (text: string): DeploymentId => text as DeploymentId;

/** Whether two model ids name the same model: ids are compared without regard to case. */
export function sameModel(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
