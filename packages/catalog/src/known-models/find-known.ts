import { ClusterdError, type ModelProfile } from "@clusterd/wire";
import { knownModels, type KnownModel } from "./model-shape.ts";
import { knownProfile } from "./known-profile.ts";
import { DEFAULT_QUANTISATION, quantisationsOf, type Quantisation } from "./quantise.ts";

const NEAR_MAX = 5;
/** Of the pairs of letters of two names, the share that must be the same for one to be suggested. */
const NEAR_SHARE_MIN = 0.5;

/** `NAME[:QUANTISATION]` of the catalogue, without regard to case; null where no model is called so. Throws `not_found` for a quantisation it has not. */
export function findKnown(
  ref: string,
): { readonly model: KnownModel; readonly name: string; readonly quantisation: Quantisation } | null {
  const [name = "", wanted] = ref.toLowerCase().split(":");
  const model = knownModels().find(({ names }) => names.includes(name));
  if (model === undefined) return null;
  const all = quantisationsOf(model);
  if (wanted === undefined) return { model, name, quantisation: defaultOf(all) };
  const quantisation = all.find((one) => one.toLowerCase() === wanted);
  if (quantisation !== undefined) return { model, name, quantisation };
  throw new ClusterdError("not_found", `The catalogue has no ${JSON.stringify(wanted.toUpperCase())} of ${name}.`, {
    next: `There are ${all.join(", ")}.`,
  });
}

function defaultOf(all: readonly Quantisation[]): Quantisation {
  return all.includes(DEFAULT_QUANTISATION) ? DEFAULT_QUANTISATION : (all[0] ?? DEFAULT_QUANTISATION);
}

/** The profile of a catalogued name, or null. */
export function knownProfileOf(ref: string): ModelProfile | null {
  const found = findKnown(ref);
  return found === null ? null : knownProfile(found.model, found.quantisation, found.name);
}

/** Catalogued names like a given one, the nearest first: by the letters next to each other in both (Dice's coefficient). */
export function namesNear(ref: string): readonly string[] {
  const wanted = pairs(ref.split(":")[0] ?? "");
  return knownModels()
    .flatMap(({ names }) => names)
    .map((name) => ({ name, share: likeness(wanted, pairs(name)) }))
    .filter(({ share }) => share >= NEAR_SHARE_MIN)
    .toSorted((a, b) => b.share - a.share || (a.name < b.name ? -1 : 1))
    .slice(0, NEAR_MAX)
    .map(({ name }) => name);
}

function pairs(name: string): readonly string[] {
  const letters = name.toLowerCase().replaceAll(/[^a-z0-9]/gu, "");
  return Array.from({ length: Math.max(0, letters.length - 1) }, (_, index) => letters.slice(index, index + 2));
}

function likeness(a: readonly string[], b: readonly string[]): number {
  const left = [...b];
  let same = 0;
  for (const pair of a) {
    const at = left.indexOf(pair);
    if (at < 0) continue;
    left.splice(at, 1);
    same += 1;
  }
  return a.length + b.length === 0 ? 0 : (2 * same) / (a.length + b.length);
}
