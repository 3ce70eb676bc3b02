import { brokenModel } from "./broken-model.ts";
import type { ModelMetadata } from "./read-metadata.ts";

/** The keys under an architecture's name in a header. Numbers are finite and not negative, or they are not there. */
export interface HeaderKeys {
  readonly architecture: string;
  /** Throws `model_broken` where there is none. */
  whole(key: string): number;
  optional(key: string): number | null;
  /** A value that may be one for all layers or one for each. */
  perLayer(key: string, layer: number): number | null;
  /** Null where the key is missing or says neither yes nor no. */
  truth(key: string): boolean | null;
  /** A list with one item per layer that says yes or no; null where the key is missing or no list. */
  flags(key: string): readonly boolean[] | null;
}

export function headerKeys(metadata: ModelMetadata, path: string): HeaderKeys {
  const { architecture } = metadata.general;
  const at = (key: string): unknown =>
    key.split(".").reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], metadata.specific);
  const number = (value: unknown): number | null =>
    typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
  return {
    architecture,
    whole(key) {
      const value = number(at(key));
      if (value === null || !Number.isSafeInteger(value))
        throw brokenModel(path, `its header has no usable ${architecture}.${key}`);
      return value;
    },
    optional: (key) => number(at(key)),
    truth(key) {
      const value = at(key);
      return typeof value === "boolean" ? value : null;
    },
    perLayer(key, layer) {
      const value = at(key);
      return Array.isArray(value) ? number(value[layer]) : number(value);
    },
    flags(key) {
      const value = at(key);
      return Array.isArray(value) ? value.map((item) => item === true || (typeof item === "number" && item > 0)) : null;
    },
  };
}
