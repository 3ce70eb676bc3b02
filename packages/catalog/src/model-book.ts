import { ambiguous, asModelId, ClusterdError, modelsNamed, sameModel, type ContentId, type NamedModel } from "@clusterd/wire";
import type { ModelFile } from "./read-model.ts";
import type { CatalogEntry, ModelSource } from "./catalog.ts";

/** A model's files in one place, as they are listed. */
export interface ListedPlace {
  readonly file: ModelFile;
  readonly source: ModelSource;
  /** Where the file's name does not tell it. */
  readonly id: string | null;
  readonly aliases: readonly string[];
  /** Of all its bytes, of several parts one after the other; null: nobody has told. */
  readonly sha256: string | null;
}

/** Names and places of the models on this disk: the same content in several places is one model. Nothing here looks at the disk. */
export interface ModelBook {
  /** In place of what was at that path. Throws `invalid_request` for weights that another model's header would stand for. */
  put(place: ListedPlace): ModelFile;
  drop(path: string): void;
  at(path: string): ListedPlace | null;
  places(): readonly ListedPlace[];
  entries(): readonly CatalogEntry[];
  byContent(id: ContentId): ModelFile | null;
  /** Null also where several are meant. */
  known(ref: string): ModelFile | null;
  /** The ids of the models that a name may mean where it is not clear which. */
  candidates(ref: string): readonly string[];
  alsoCalled(contentId: ContentId, name: string): void;
  /** Of the weights that a content stands for here; null: nobody has told. */
  sha256Of(contentId: ContentId): string | null;
}

export function createModelBook(): ModelBook {
  const places = new Map<string, ListedPlace>();
  const further = new Map<ContentId, string[]>();
  let list: readonly CatalogEntry[] | null = null;

  const contentOf = ({ file }: ListedPlace): ContentId => file.profile.contentId;
  const of = (id: ContentId): readonly ListedPlace[] => [...places.values()].filter((place) => contentOf(place) === id);
  const digestOf = (id: ContentId): string | null => of(id).find(({ sha256 }) => sha256 !== null)?.sha256 ?? null;

  function entry(all: readonly ListedPlace[]): readonly CatalogEntry[] {
    const [first] = all;
    if (first === undefined) return [];
    const { file } = first;
    const names = [
      ...first.aliases,
      ...all.slice(1).flatMap(({ id, aliases }) => [...(id === null ? [] : [id]), ...aliases]),
      ...(further.get(contentOf(first)) ?? []),
    ];
    const aliases: string[] = [];
    for (const name of names) if (![file.profile.id, ...aliases].some((known) => sameModel(known, name))) aliases.push(name);
    return [{ file, aliases, source: first.source, sha256: first.sha256 }];
  }

  function entries(): readonly CatalogEntry[] {
    list ??= [...Map.groupBy(places.values(), contentOf).values()].flatMap(entry);
    return list;
  }

  /** Models with their names, as `modelsNamed` wants them. */
  const named = (): readonly (NamedModel & { readonly file: ModelFile })[] =>
    entries().map(({ file, aliases, source }) => ({ id: file.profile.id, aliases, source, file }));

  const book: ModelBook = {
    put(place) {
      const { file, id, sha256 } = place;
      const others = of(contentOf(place)).filter((other) => other.file.path !== file.path);
      const different = others.find((other) => sha256 !== null && other.sha256 !== null && other.sha256 !== sha256);
      if (different !== undefined) {
        const names = [id ?? file.profile.id, different.file.profile.id];
        throw new ClusterdError(
          "invalid_request",
          `${names[0]} has the very header of ${names[1]}, but other weights: one would answer for the other.`,
          {
            next: `Keep one of them; what was pulled is deleted with: clusterd rm ${names[1]}`,
            details: { path: file.path, other: different.file.path },
          },
        );
      }
      const kept = id === null ? file : { ...file, profile: { ...file.profile, id: asModelId(id) } };
      places.set(file.path, { ...place, file: kept });
      list = null;
      return of(contentOf(place))[0]?.file ?? kept;
    },
    drop(path) {
      places.delete(path);
      list = null;
    },
    at: (path) => places.get(path) ?? null,
    places: () => [...places.values()],
    entries,
    byContent: (id) => of(id)[0]?.file ?? null,
    known(ref) {
      const byPath = [...places.values()].find(({ file }) => file.path === ref || file.parts.includes(ref));
      if (byPath !== undefined) return book.byContent(contentOf(byPath));
      const found = modelsNamed(ref, named());
      return book.candidates(ref).length > 0 ? null : (found[0]?.file ?? null);
    },
    candidates: (ref) => ambiguous(ref, named()),
    alsoCalled(contentId, name) {
      const names = further.get(contentId) ?? [];
      if (of(contentId).length === 0 || names.some((known) => sameModel(known, name)) || book.known(name) !== null) return;
      further.set(contentId, [...names, name]);
      list = null;
    },
    sha256Of: digestOf,
  };
  return book;
}
