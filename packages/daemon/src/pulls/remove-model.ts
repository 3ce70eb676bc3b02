import type { Catalog } from "@clusterd/catalog";
import { ClusterdError, placeOf } from "@clusterd/wire";
import type { Store } from "../state/store.ts";
import { allDeployments } from "../state/view.ts";

/** Deletes a pulled model from this node's disk, unless some of a deployment's layers are read from it here. */
export async function removeModel(
  store: Store,
  catalog: Catalog,
  ref: string,
  modelsChanged: () => void,
): Promise<{ readonly model: string; readonly bytes: number }> {
  const file = catalog.known(ref);
  const { self } = store.state;
  const inUse = allDeployments(store.state).find(
    ({ contentId, view }) =>
      contentId === file?.profile.contentId &&
      view.state !== "failed" &&
      (view.head === self || view.stages.some(({ node }) => placeOf(node).node === self)),
  );
  if (inUse !== undefined) {
    throw new ClusterdError("invalid_request", `${inUse.view.model} is deployed from its file here.`, {
      next: `Take it off the cluster first: clusterd unload ${inUse.view.model}`,
      param: "model",
    });
  }
  const { id, bytes } = await catalog.remove(ref);
  modelsChanged();
  return { model: id, bytes };
}
