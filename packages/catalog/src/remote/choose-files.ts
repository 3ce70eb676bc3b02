import { posix } from "node:path";
import { ClusterdError, DEFAULT_QUANTISATION } from "@clusterd/wire";
import { partName } from "../split-parts.ts";
import { SHOWN_QUANTISATIONS_MAX } from "./hub-limits.ts";

/** A file of a repository; what the hub does not tell is null. */
export interface HubFile {
  readonly path: string;
  readonly bytes: number | null;
  /** SHA-256 of its bytes, hex: of files in large file storage, which weights are. */
  readonly sha256: string | null;
}

/** The files of one model in one quantisation, first part first. */
export interface ChosenFiles {
  readonly quantisation: string;
  readonly files: readonly HubFile[];
}

/** What a file's name ends with, as converters and uploaders write it. */
const QUANTISATION = /(?:^|[-._])((?:UD-)?(?:I?Q\d[a-z0-9_]*|[BF]F?P?(?:16|32)|MXFP4(?:_MOE)?|NVFP4|TQ\d_\d))$/iu;
/** Beside a model, but none: projectors, importance matrices. */
const NOT_A_MODEL = /(?:^|[-._])(?:mmproj|imatrix)(?:[-._]|$)/iu;

/** One model in one quantisation; whole where it has as many files as `count`. */
interface Candidate {
  readonly quantisation: string;
  readonly stem: string;
  readonly files: readonly HubFile[];
  readonly count: number;
}

/**
 * The GGUF files of a quantisation; without one asked for, Q4_K_M, or the only one there is. Throws `not_found` naming those there are,
 * `usage` where several models have it.
 */
export function chooseFiles(repo: string, files: readonly HubFile[], wanted: string | null): ChosenFiles {
  const candidates = modelsAmong(files);
  if (candidates.length === 0) {
    throw new ClusterdError("not_found", `${repo} has no GGUF files.`, {
      next: "Look for a repository with GGUF in its name: they are conversions of the same models.",
    });
  }
  const exactly = (name: string): readonly Candidate[] =>
    candidates.filter((one) => one.quantisation.toLowerCase() === name.toLowerCase());
  /** `UD-` marks a mixture of one uploader's own: who leaves it out means it where there is no other. */
  const named = (name: string): readonly Candidate[] => {
    const found = exactly(name);
    return found.length > 0 ? found : exactly(`UD-${name}`);
  };
  const matches = wanted !== null ? named(wanted) : candidates.length === 1 ? candidates : named(DEFAULT_QUANTISATION);
  const [found] = matches;
  if (found === undefined) {
    const all = [...new Set(candidates.map((one) => one.quantisation))];
    const shown = all.slice(0, SHOWN_QUANTISATIONS_MAX).join(", ") + (all.length > SHOWN_QUANTISATIONS_MAX ? ", …" : "");
    throw new ClusterdError("not_found", `${repo} has no ${wanted ?? DEFAULT_QUANTISATION}.`, {
      next: `There are ${shown}: say which, as in hf:${repo}:${all[0] ?? "QUANT"}.`,
    });
  }
  if (matches.length > 1) {
    const stems = matches.map((one) => one.stem).slice(0, SHOWN_QUANTISATIONS_MAX);
    throw new ClusterdError("usage", `${repo} has several models in ${found.quantisation}: ${stems.join(", ")}.`, {
      next: "Fetch the one you mean yourself and give its path.",
    });
  }
  if (found.files.length !== found.count)
    throw new ClusterdError("not_found", `${repo} has ${found.files.length} of the ${found.count} parts of ${found.stem}.`, {
      next: "Its upload may not be complete yet: try another quantisation.",
    });
  return { quantisation: found.quantisation, files: found.files };
}

/** The models among a repository's files. */
export function modelsAmong(files: readonly HubFile[]): readonly Candidate[] {
  const found = new Map<string, { quantisation: string; count: number; parts: { file: HubFile; number: number }[] }>();
  for (const file of files) {
    const name = posix.basename(file.path);
    if (!/\.gguf$/iu.test(name) || NOT_A_MODEL.test(name.replace(/\.gguf$/iu, ""))) continue;
    const part = partName(name);
    const stem = part?.stem ?? name.replace(/\.gguf$/iu, "");
    const folder = posix.dirname(file.path);
    const quantisation = QUANTISATION.exec(stem)?.[1] ?? (folder === "." ? null : QUANTISATION.exec(posix.basename(folder))?.[1]);
    const key = `${posix.join(folder, stem)}${part === null ? "" : ` in ${part.count} parts`}`;
    const entry = found.get(key) ?? { quantisation: quantisation ?? stem, count: part?.count ?? 1, parts: [] };
    entry.parts.push({ file, number: part?.number ?? 1 });
    found.set(key, entry);
  }
  return [...found].map(([stem, { quantisation, count, parts }]) => ({
    quantisation,
    stem,
    count,
    files: parts.toSorted((a, b) => a.number - b.number).map(({ file }) => file),
  }));
}
