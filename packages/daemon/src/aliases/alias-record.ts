import {
  amount,
  ClusterdError,
  list,
  nullable,
  record,
  text,
  type AliasView,
  type AliasTarget,
  type Check,
  type ModelId,
} from "@clusterd/wire";

/** An alias's settings: `alias/NAME`, the name in lower case. */
export const ALIAS_PREFIX = "alias/";
/** States that an alias can be rolled back to. */
export const BEFORE_MAX = 5;
const ID_LENGTH_MAX = 256;
const NAME_LENGTH_MAX = 64;
const NAME = /^[a-z0-9][a-z0-9._:/@+-]*$/i;

/** An alias's name. Throws `invalid_request` where it could not be one: it has to pass through every client, header and command line. */
export function aliasName(given: string): string {
  const name = given.trim();
  if (name.length <= NAME_LENGTH_MAX && NAME.test(name) && !/\.gguf$|^hf:/i.test(name)) return name;
  throw new ClusterdError(
    "invalid_request",
    `${JSON.stringify(given.slice(0, 100))} cannot be an alias: it takes 1 to ${NAME_LENGTH_MAX} letters, digits and . _ : / @ + -, a letter or digit first, and is no REF.`,
    { param: "alias" },
  );
}

const model = text<ModelId>(ID_LENGTH_MAX);
const share: Check<number> = (value, path) => Math.min(1, amount(value, path));
const target = { model, canary: nullable(record({ model, share })) };
const shape: Check<AliasView> = record({
  ...target,
  alias: text(NAME_LENGTH_MAX),
  before: list(record(target), BEFORE_MAX),
});

/** A setting's value as an alias; null where it is none that this version understands. */
export function parseAlias(value: unknown): AliasView | null {
  try {
    return value === null ? null : shape(value, "alias");
  } catch {
    return null;
  }
}

/** The alias leading elsewhere, and from there back to where it led. The same where that is where it leads. */
export function ledTo(alias: string, known: AliasView | null, next: AliasTarget): AliasView {
  if (known === null) return { alias, ...next, before: [] };
  if (sameTarget(known, next)) return known;
  const { model, canary } = known;
  return { alias: known.alias, ...next, before: [{ model, canary }, ...known.before].slice(0, BEFORE_MAX) };
}

/** The canary as the model. Throws where there is none. */
export function promoted(known: AliasView): AliasView {
  if (known.canary === null) {
    throw new ClusterdError("invalid_request", `${known.alias} has no canary: all its requests go to ${known.model}.`, {
      next: `Give it one: clusterd alias ${known.alias} --canary MODEL=10%`,
    });
  }
  return ledTo(known.alias, known, { model: known.canary.model, canary: null });
}

/** As it was before the last change; that change is forgotten, so that twice back is two changes back. */
export function rolledBack({ alias, model, before }: AliasView): AliasView {
  const [last, ...earlier] = before;
  if (last === undefined)
    throw new ClusterdError("invalid_request", `Nothing is known from before: ${alias} has not led elsewhere than to ${model}.`);
  return { alias, ...last, before: earlier };
}

function sameTarget(a: AliasTarget, b: AliasTarget): boolean {
  return a.model === b.model && a.canary?.model === b.canary?.model && a.canary?.share === b.canary?.share;
}
