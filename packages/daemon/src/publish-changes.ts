import type { Mesh } from "@clusterd/mesh";
import { advertFacts } from "./advert-facts.ts";
import type { Store } from "./state/store.ts";

/** Own changes are told to members at most this often. */
const PUBLISH_MS = 100;

/** Tells the members of every change of what this node says of itself, changes that come together at once. */
export function publishChanges(store: Store, mesh: Mesh): Disposable {
  let timer: NodeJS.Timeout | null = null;
  let told = "";
  const publish = (): void => {
    timer = null;
    const facts = advertFacts(store.state);
    const text = JSON.stringify(facts);
    if (text === told) return;
    told = text;
    mesh.publish(facts);
  };
  publish();
  const unsubscribe = store.subscribe(() => {
    timer ??= setTimeout(publish, PUBLISH_MS);
  });
  return {
    [Symbol.dispose]() {
      unsubscribe();
      if (timer !== null) clearTimeout(timer);
    },
  };
}
