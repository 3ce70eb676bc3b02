import { createHash } from "node:crypto";

/** All that decides what a built engine is. */
export interface EngineInputs {
  /** llama.cpp's release, e.g. `v0.5.0`. */
  readonly release: string;
  /** Version of node-llama-cpp, whose package carries the source bundle; its prebuilt packages bear the same one. */
  readonly packageVersion: string;
  /** Our build recipe, whole. */
  readonly recipe: string;
  /** `linux-x64` and the like. */
  readonly platform: string;
  /** GPU variants to be tried, in order. */
  readonly variants: readonly string[];
}

const FINGERPRINT_LENGTH = 20;

/** A short name for a set of inputs: the same inputs always give the same one. Hexadecimal. */
export function engineFingerprint(inputs: EngineInputs): string {
  const ordered = [inputs.release, inputs.packageVersion, inputs.recipe, inputs.platform, inputs.variants];
  return createHash("sha256").update(JSON.stringify(ordered)).digest("hex").slice(0, FINGERPRINT_LENGTH);
}
