import { fileURLToPath } from "node:url";
import type { BundledModel } from "@clusterd/catalog";

/** The models that come with clusterd. */
export const BUNDLED_MODELS: readonly BundledModel[] = [
  { name: "demo", path: fileURLToPath(new URL("../../../../models/demo-16l-q8_0.gguf", import.meta.url)) },
];
