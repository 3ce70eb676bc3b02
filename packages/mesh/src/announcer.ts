import type { ClusterdError } from "@clusterd/wire";
import { BoundedMap } from "./bounded-map.ts";
import { STRANGER_SOURCES_MAX } from "./limits.ts";
import type { MeshEvent, Standing } from "./mesh-api.ts";

/** What has something to say that is not worth repeating. */
type Remark = Extract<MeshEvent, { readonly message: string } | { readonly error: ClusterdError }>;

/** Tells the owner of the mesh what happens, in order, and remembers where the node stands. */
export class Announcer {
  readonly #on: (event: MeshEvent) => void;
  readonly #said = new BoundedMap<string, true>(STRANGER_SOURCES_MAX);
  #standing: Standing = { kind: "looking" };

  constructor(on: (event: MeshEvent) => void) {
    this.#on = on;
  }

  get standing(): Standing {
    return this.#standing;
  }

  /** Handlers run after what caused the event is done: they cannot break it. */
  emit(event: MeshEvent): void {
    if (event.type === "standing") this.#standing = event.standing;
    queueMicrotask(() => this.#on(event));
  }

  /** The same words are said once. */
  emitOnce(remark: Remark): void {
    const words = "message" in remark ? remark.message : remark.error.message;
    if (this.#said.has(words)) return;
    this.#said.set(words, true);
    this.emit(remark);
  }

  trouble(error: ClusterdError): void {
    this.emitOnce({ type: "trouble", error });
  }
}
