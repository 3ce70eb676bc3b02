import { sameModel } from "./ids.ts";

/** `[hf:]OWNER/REPO[:QUANT][@REVISION]`, as a person may write it. */
export interface HubName {
  readonly repo: string;
  readonly quantisation: string | null;
  /** Null: none was said, which is the branch `main`. */
  readonly revision: string | null;
}

/** What a name can mean: a model under its id and further names. */
export interface NamedModel {
  readonly id: string;
  readonly aliases: readonly string[];
  /** Which tool's it is; `ollama`: whose library has owners of its own, that are none of the hub's. */
  readonly source?: string;
}

/** Taken where a reference names none. */
export const DEFAULT_QUANTISATION = "Q4_K_M";
const MAIN = "main";
/** A name that says itself that it is of the hub. */
const SAYS_HUB = /^(?:hf:|hf\.co\/|huggingface\.co\/)/iu;
const NAME = "[\\w][\\w.-]{0,95}";
const SHAPE = new RegExp(
  `^(?:hf:|hf\\.co/|huggingface\\.co/)?(?<repo>${NAME}/${NAME})(?::(?<quantisation>[\\w.-]{1,64}))?(?:@(?<revision>[\\w./-]{1,120}))?$`,
  "iu",
);
/** As much of a commit as tells it from others. */
const COMMIT = /^[0-9a-f]{7,64}$/iu;

/** A name taken apart; null where it has another shape. */
export function parseHubName(name: string): HubName | null {
  const groups = SHAPE.exec(name.trim())?.groups;
  if (groups?.["repo"] === undefined) return null;
  return { repo: groups["repo"], quantisation: groups["quantisation"] ?? null, revision: groups["revision"] ?? null };
}

/** `OWNER/REPO:QUANT`, and `@REVISION` behind it for any other than `main`: two revisions of a repository are two models. */
export function hubId(repo: string, quantisation: string, revision: string | null): string {
  return `${repo}:${quantisation}${revision === null || revision === MAIN ? "" : `@${revision}`}`;
}

/**
 * The models that a name means: those called exactly so; else, as on a hub, those of that repository and revision in the quantisation that is
 * named (`UD-` may be left out where it is no other's), or in the usual one, or in the only one there is. Models of several quantisations: it is
 * not clear which is meant.
 */
export function modelsNamed<Model extends NamedModel>(name: string, models: readonly Model[]): readonly Model[] {
  const wanted = name.trim();
  const namesOf = ({ id, aliases }: Model): readonly string[] => [id, ...aliases];
  const exact = models.filter((model) => namesOf(model).some((own) => sameModel(own, wanted)));
  if (exact.length > 0) return exact;
  const hub = parseHubName(wanted);
  if (hub === null) return [];
  const mayBe = ({ source }: Model, own: string): boolean => source !== "ollama" || !SAYS_HUB.test(wanted) || SAYS_HUB.test(own);
  const among = models.flatMap((model) =>
    namesOf(model).flatMap((own) => {
      if (!mayBe(model, own)) return [];
      const known = parseHubName(own);
      return known?.quantisation != null && sameModel(known.repo, hub.repo) && isRevision(known, hub)
        ? [{ model, quantisation: known.quantisation.toLowerCase() }]
        : [];
    }),
  );
  const inQuantisation = (quantisation: string): readonly Model[] => {
    const found = among.filter((one) => one.quantisation === quantisation.toLowerCase());
    return [...new Set(found.map(({ model }) => model))];
  };
  const named = (quantisation: string): readonly Model[] => {
    const found = inQuantisation(quantisation);
    return found.length > 0 ? found : inQuantisation(`UD-${quantisation}`);
  };
  if (hub.quantisation !== null) return named(hub.quantisation);
  const usual = named(DEFAULT_QUANTISATION);
  return usual.length > 0 ? usual : [...new Set(among.map(({ model }) => model))];
}

/** The ids of the models that a name may mean where it is not clear which; none where it is clear, or means nothing. */
export function ambiguous(name: string, models: readonly NamedModel[]): readonly string[] {
  const hub = parseHubName(name);
  if (hub === null || hub.quantisation !== null) return [];
  const ids = [...new Set(modelsNamed(name, models).map(({ id }) => id.toLowerCase()))];
  const quantisations = new Set(modelsNamed(name, models).flatMap((model) => quantisationsOf(model, hub)));
  return quantisations.size > 1 ? ids.map((id) => models.find((model) => sameModel(model.id, id))?.id ?? id) : [];
}

const quantisationsOf = ({ id, aliases }: NamedModel, { repo }: HubName): readonly string[] =>
  [id, ...aliases]
    .map(parseHubName)
    .flatMap((known) => (known?.quantisation != null && sameModel(known.repo, repo) ? [known.quantisation.toLowerCase()] : []));

function isRevision(known: HubName, wanted: HubName): boolean {
  const [own, asked] = [known.revision ?? MAIN, wanted.revision ?? MAIN];
  // Branches are told apart by their case.
  return own === asked || (COMMIT.test(asked) && COMMIT.test(own) && own.toLowerCase().startsWith(asked.toLowerCase()));
}
